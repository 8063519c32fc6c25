"""The raw form of BYTES tensors: each element follows its length in 4 bytes, little-endian."""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

from spyglass_contract.errors import InvalidInput

_LENGTH = Struct("<I")


def split_strings(raw: bytes, count: int) -> list[bytes]:
    """Return the `count` elements of a raw BYTES tensor. Raises InvalidInput if it has more or fewer."""
    found: list[bytes] = []
    at, end = 0, len(raw)
    while at < end and len(found) < count:
        if end - at < _LENGTH.size:
            raise _invalid(f"{end - at} bytes are left for the length of element {len(found)}, which takes 4")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if length > end - at:
            raise _invalid(f"element {len(found)} should have {length:,} bytes, and {end - at:,} are left")
        found.append(raw[at : at + length])
        at += length
    if len(found) < count or at < end:
        rest = f"{len(found)}" if at == end else f"{end - at:,} bytes more"
        raise _invalid(f"the shape has {count} elements, and the contents have {rest}")
    return found


def join_strings(elements: Iterable[bytes]) -> bytes:
    """Return elements as a raw BYTES tensor."""
    return b"".join(part for element in elements for part in (_LENGTH.pack(len(element)), element))


def _invalid(problem: str) -> InvalidInput:
    return InvalidInput(
        f"the raw contents of a BYTES tensor must be each element after its length in 4 bytes, "
        f"little-endian: {problem}",
        reason="CONTENTS_INVALID",
        field="raw_input_contents",
    )
