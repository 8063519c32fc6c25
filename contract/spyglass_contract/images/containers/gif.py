"""GIF by the GIF89a specification: the screen, the palette and the first frame."""

from __future__ import annotations

import struct

from spyglass_contract.images.containers.container import Container
from spyglass_contract.images.limits import Limits, check_pixels
from spyglass_contract.images.refusals import broken_header, too_many

# Blocks of up to 255 bytes before the first frame: comments, and the settings of an animation.
MAX_BLOCKS = 65_536

_EXTENSION, _FRAME, _CONTROL = 0x21, 0x2C, 0xF9
# Other than the transparent colour, a control says what follows the frame.
_HAS_TRANSPARENT_COLOR = 0x01


def read(data: bytes, limits: Limits) -> Container:
    """Return the GIF without comments and further extensions, from its first frame on.

    Raises LimitExceeded above 65,536 blocks before that frame, and ImageError if there is none.
    """
    try:
        return _read(data, limits)
    except (IndexError, struct.error) as error:
        raise broken_header("GIF") from error


def _read(data: bytes, limits: Limits) -> Container:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    start = 13 + _palette_bytes(flags)
    position, blocks, control = start, 0, b""
    while data[position] != _FRAME:
        blocks += 1
        if data[position] == _EXTENSION:
            is_control = data[position + 1] == _CONTROL and data[position + 2] >= 4
            if is_control and data[position + 3] & _HAS_TRANSPARENT_COLOR:
                control = b"\x21\xf9\4\1\0\0" + data[position + 6 : position + 7] + b"\0"
            position += 2
            while size := data[position]:
                position += 1 + size
                blocks += 1
                _check(blocks)
        elif data[position] != 0:
            raise broken_header("GIF")
        _check(blocks)
        position += 1
    left, top, columns, rows = struct.unpack_from("<HHHH", data, position + 1)
    # A frame that does not fit makes the screen larger.
    width, height = max(width, left + columns), max(height, top + rows)
    check_pixels(width, height, limits)
    return Container("GIF", width, height, (b"".join((data[:start], control, data[position:])),))


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check(blocks: int) -> None:
    if blocks > MAX_BLOCKS:
        raise too_many(
            "GIF", "IMAGE_TOO_MANY_BLOCKS", MAX_BLOCKS, "blocks before its first frame", "save it again"
        )
