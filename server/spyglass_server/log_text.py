"""Texts in log lines: whatever a caller sends, a line stays one line, and looks like what it is."""

from __future__ import annotations

import re
import traceback
from types import TracebackType

MAX_CHARACTERS = 4000
"""The longest message or value in a line."""

_HEAD, _TAIL = 4000, 12_000
# The bytes of an image, as Python writes them into the text of an exception.
_BYTES = re.compile(r"""\b[bB](?:'(?:[^'\\\n]|\\.)*'?|"(?:[^"\\\n]|\\.)*"?)""")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def shortened(text: str) -> str:
    """Return at most the first 4,000 characters of a text."""
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def escaped(text: str) -> str:
    r"""Return a text with `\n`, `\x1b`, `\u202e` and the like in place of what a terminal would obey.

    Such are line breaks, control characters, and those that change the direction of a text.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def exception_text(info: ExceptionInfo) -> str:
    """Return the stack trace of an exception, on several lines, without the bytes in its messages.

    An exception may quote what it failed on, such as the bytes of an image.
    """
    text = _BYTES.sub("<bytes>", "".join(traceback.format_exception(*info)).rstrip("\n"))
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n…\n{text[-_TAIL:]}"
    return text
