"""The markers of JPEGs and the strips of TIFFs, before a decoder opens them."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from PIL import Image

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.containers.jpeg_markers import START_OF_SCAN, markers
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

Encode = Callable[..., bytes]


def jpeg_markers(data: bytes) -> list[int]:
    return [marker for marker, _ in markers(data)]


START_OF_FRAME, PROGRESSIVE_FRAME, END_OF_IMAGE = 0xC0, 0xC2, 0xD9
SCAN = bytes([0xFF, START_OF_SCAN])


def test_the_markers_come_in_the_order_of_the_file(encode: Encode) -> None:
    markers = jpeg_markers(encode(Image.new("RGB", (16, 16)), "JPEG"))

    assert markers[0] == 0xE0
    assert markers.index(START_OF_FRAME) < markers.index(START_OF_SCAN)
    assert markers[-1] == END_OF_IMAGE


def test_a_progressive_jpeg_has_several_scans(
    photograph: Callable[[int, int], Image.Image], encode: Encode
) -> None:
    baseline, progressive = (
        jpeg_markers(encode(photograph(99, 77), "JPEG", progressive=progressive))
        for progressive in (False, True)
    )

    assert baseline.count(START_OF_SCAN) == 1
    assert PROGRESSIVE_FRAME in progressive
    assert progressive.count(START_OF_SCAN) == 10


def test_restart_markers_in_the_coded_data_are_skipped(
    photograph: Callable[[int, int], Image.Image], encode: Encode
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
def test_the_markers_of_a_broken_file_end(data: bytes, markers: list[int]) -> None:
    assert jpeg_markers(data) == markers


def test_a_jpeg_of_thousands_of_scans_is_rejected(encode: Encode) -> None:
    progressive = encode(Image.new("L", (64, 64), 77), "JPEG", progressive=True)
    last_scan = progressive[progressive.rindex(SCAN) : -2]

    with pytest.raises(LimitExceeded) as raised:
        decode(progressive[:-2] + last_scan * 5000 + progressive[-2:], Limits())

    assert raised.value.reason == "IMAGE_TOO_MANY_SCANS"


def test_a_jpeg_of_a_hundred_thousand_segments_is_rejected(encode: Encode) -> None:
    data = encode(Image.new("L", (64, 64), 77), "JPEG")

    with pytest.raises(LimitExceeded, match="segments"):
        decode(data[:2] + b"\xff\xe5\0\2" * 100_000 + data[2:], Limits())


def test_a_film_after_the_end_of_a_jpeg_does_not_count(chelsea: bytes) -> None:
    film = b"\0\0\0\x18ftypmp42" + (SCAN + bytes(30)) * 5000

    decode(chelsea + film, Limits())


def test_a_thumbnail_in_a_segment_of_a_jpeg_does_not_count(chelsea: bytes) -> None:
    segment = b"\xff\xe2" + struct.pack(">H", 2 + 3000) + SCAN * 1500

    decode(chelsea[:2] + segment + chelsea[2:], Limits())


def tiff_of_strips(count: int, offsets: int = 4) -> bytes:
    """A grey TIFF one pixel wide with one byte a strip; `offsets` is the type of their offsets."""
    lists_at = 10 + 9 * 12 + 4
    entries = [
        (256, 4, 1, 1),
        (257, 4, 1, count),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, offsets, count, lists_at),
        (277, 3, 1, 1),
        (278, 4, 1, 1),
        (279, 4, count, lists_at + 4 * count),
    ]
    directory = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return (
        b"II*\0"
        + struct.pack("<LH", 8, len(entries))
        + directory
        + bytes(4)
        + b"\x08\0\0\0" * count
        + b"\1\0\0\0" * count
    )


@pytest.mark.parametrize("offsets", [4, 1], ids=["numbers", "bytes"])
def test_a_tiff_of_a_million_strips_is_rejected(offsets: int) -> None:
    with pytest.raises(LimitExceeded) as raised:
        decode(tiff_of_strips(1_000_000, offsets), Limits())

    assert raised.value.reason == "IMAGE_TOO_MANY_STRIPS"


def test_a_tiff_of_a_thousand_strips_is_decoded() -> None:
    assert decode(tiff_of_strips(1000), Limits())[0].size == (1, 1000)


@pytest.mark.parametrize(
    "tail",
    [b"", b"\xff\xff\xff\xff", b"\x08\0\0\0\x05", b"\x08\0\0\0\xff\xff"],
    ids=["none", "far", "cut", "empty"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_tiff_without_a_directory_is_reported_as_corrupt(tail: bytes) -> None:
    with pytest.raises(ImageError) as raised:
        decode(b"II*\0" + tail, Limits())

    assert raised.value.reason == "IMAGE_CORRUPT"
