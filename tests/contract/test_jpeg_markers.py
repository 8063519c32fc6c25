"""Walking the markers of a JPEG."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image

from spyglass_contract.images.jpeg_markers import START_OF_SCAN, jpeg_markers

START_OF_FRAME, PROGRESSIVE_FRAME, END_OF_IMAGE = 0xC0, 0xC2, 0xD9


def test_the_markers_come_in_the_order_of_the_file(encode: Callable[..., bytes]) -> None:
    markers = list(jpeg_markers(encode(Image.new("RGB", (16, 16)), "JPEG")))

    assert markers[0] == 0xE0
    assert markers.index(START_OF_FRAME) < markers.index(START_OF_SCAN)
    assert markers[-1] == END_OF_IMAGE


def test_a_progressive_jpeg_has_several_scans(
    photograph: Callable[[int, int], Image.Image], encode: Callable[..., bytes]
) -> None:
    baseline, progressive = (
        list(jpeg_markers(encode(photograph(99, 77), "JPEG", progressive=progressive)))
        for progressive in (False, True)
    )

    assert baseline.count(START_OF_SCAN) == 1
    assert PROGRESSIVE_FRAME in progressive
    assert progressive.count(START_OF_SCAN) == 10


def test_restarts_among_the_coded_data_are_no_markers(
    photograph: Callable[[int, int], Image.Image], encode: Callable[..., bytes]
) -> None:
    data = encode(photograph(99, 77), "JPEG", restart_marker_blocks=1)

    assert data.count(b"\xff\xd0") > 1
    assert not set(range(0xD0, 0xD8)) & set(jpeg_markers(data))


@pytest.mark.parametrize(
    ("data", "markers"),
    [
        (b"\xff\xd8", []),
        (b"\xff\xd8\xff", []),
        (b"\xff\xd8\xff\xe0", [0xE0]),
        (b"\xff\xd8\xff\xe0\xff\xff", [0xE0]),
        (b"\xff\xd8\xff\xe0\0\0\xff\xd9", [0xE0, 0xD9]),
        (b"\xff\xd8\xff\x01\xff\xd9", [0x01, 0xD9]),
        (b"\xff\xd8" + b"\xff" * 1000 + b"\xd9\xff\xda", [0xD9]),
    ],
)
def test_a_broken_file_comes_to_an_end(data: bytes, markers: list[int]) -> None:
    assert list(jpeg_markers(data)) == markers
