"""Bounds on the bytes of responses."""

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""Bytes of the maps, or of mask and probability map, in one response.

They are held in memory until they are sent, for every request at the same time: a gigabyte for the 64
requests of a small server.
"""

UNNAMED_REPLY_BYTES = 4_000_000
"""The same, of a response whose request leaves both its format and its size to the server.

gRPC clients receive 4,194,304 bytes by default; the rest is for names of classes.
"""


def reply_limit(*, named: bool) -> int:
    """Return the limit of a response; `named`: the request states its format or its size."""
    return MAX_REPLY_BYTES if named else UNNAMED_REPLY_BYTES


def limit_hint(*, named: bool) -> str:
    """Return the part of an error's message that tells how to receive more, or an empty text."""
    return "" if named else " (state `format` or `size` in the request to receive more)"
