"""The markers of a JPEG, walked before a decoder sees them: each scan and each segment costs it time."""

from __future__ import annotations

import re
from collections.abc import Iterator

START_OF_SCAN = 0xDA

_END_OF_IMAGE = 0xD9
_WITHOUT_LENGTH = 0x01
# In coded data 0xFF has a zero after it or is a restart marker; in front of a marker it may be repeated.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def jpeg_markers(data: bytes) -> Iterator[int]:
    """Each marker's second byte, by ITU-T T.81, annex B, from the start of the image to its end.

    What lies inside of a segment (a thumbnail) or behind the end (the film that a phone appends) is not
    walked.
    """
    position = 2
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        yield marker
        if marker == _END_OF_IMAGE:
            return
        if marker != _WITHOUT_LENGTH:
            position += int.from_bytes(data[position : position + 2], "big")
