"""The directory of a TIFF, read before Pillow does: it makes an object of every number in it."""

from __future__ import annotations

import struct

_ENTRY = "HHL4x"
_ENTRY_BYTES = 12
# Bytes, text and the like stay as they are, and only where the image's parts lie are they numbers too.
_PLAIN_TYPES = (1, 2, 6, 7)
_OFFSETS = (273, 324)


def longest_list(data: bytes) -> int:
    """How many numbers the longest entry of the first directory holds, by TIFF 6.0, section 2.

    The image's strips or tiles are such a list. Entries that claim more than the file has do not count:
    Pillow skips them. Raises struct.error where there is no directory.
    """
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}L", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    whole = min(entries, (len(data) - start - 2) // _ENTRY_BYTES)
    directory = data[start + 2 : start + 2 + whole * _ENTRY_BYTES]
    return max(
        (
            count
            for tag, kind, count in struct.iter_unpack(order + _ENTRY, directory)
            if count <= len(data) and (kind not in _PLAIN_TYPES or tag in _OFFSETS)
        ),
        default=0,
    )
