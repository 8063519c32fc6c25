"""The markers of a JPEG, by ITU-T T.81, annex B, and the fill bytes between them."""

from __future__ import annotations

import re
from collections.abc import Iterator

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9

_MARKER_WITHOUT_LENGTH = 0x01
# In coded data 0xFF has a zero after it or is a restart marker; in front of a marker it may be repeated.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LONG_RUN, _RUN = b"\xff" * 64, re.compile(rb"\xff{2,}")


def markers(data: bytes, position: int = 2) -> Iterator[tuple[int, int]]:
    """Yield the second byte of each marker from `position` on, and the position after it.

    It ends at the end of the image: what a file has after it (the film that a phone appends) does not count,
    and neither does the content of a segment (a thumbnail).
    """
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        yield marker, position
        if marker == END_OF_IMAGE:
            return
        if marker != _MARKER_WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")


def without_fill_bytes(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the scans in parts, with runs of 0xFF outside segments cut to one if any is long.

    A run means the same as one 0xFF, but libjpeg begins it anew for each 64 kB that Pillow hands it.
    """
    if data.find(_LONG_RUN, start, end) < 0:
        yield data[start:end]
        return
    done = start
    for marker, position in markers(data[:end], start):
        length = int.from_bytes(data[position : position + 2], "big")
        segment_end = position + (0 if marker == _MARKER_WITHOUT_LENGTH else length)
        yield _RUN.sub(b"\xff", data[done : position - 2])
        yield data[position - 2 : segment_end]
        done = segment_end
    yield _RUN.sub(b"\xff", data[done:end])
