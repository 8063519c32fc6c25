"""What is refused from the header alone, before memory is taken for a single pixel."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.errors import ImageError, LimitExceeded
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.header import Limits, open_header

Encode = Callable[..., bytes]

START_OF_SCAN = b"\xff\xda"

# Opens every file named on the command line with 48 MB of address space to spare, and prints what came of it.
REFUSE_WITHOUT_MEMORY = """
import json, pathlib, resource, sys
from spyglass_contract.images.decode import decode
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.header import Limits

pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
ceiling = pages * resource.getpagesize() + 48 * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))
reasons = {}
for path in map(pathlib.Path, sys.argv[1:]):
    try:
        decode(path.read_bytes(), Limits())
        reasons[path.name] = "decoded"
    except SpyglassError as error:
        reasons[path.name] = error.reason
    except BaseException as error:
        reasons[path.name] = repr(error)
print(json.dumps(reasons))
"""


def test_a_bomb_is_refused_by_its_header(bomb: bytes) -> None:
    with pytest.raises(LimitExceeded) as raised:
        decode(bomb, Limits())

    assert (raised.value.reason, raised.value.field) == ("IMAGE_TOO_MANY_PIXELS", "image")


def test_bombs_take_no_memory(bombs: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)

    finished = subprocess.run(
        [sys.executable, "-c", REFUSE_WITHOUT_MEMORY, *(str(tmp_path / name) for name in bombs)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(finished.stdout) == dict.fromkeys(bombs, "IMAGE_TOO_MANY_PIXELS")


def test_that_much_memory_does_not_do_for_an_image_within_the_limits(encode: Encode, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(encode(Image.new("RGB", (5000, 5000)), "WEBP", lossless=True, method=0))

    finished = subprocess.run(
        [sys.executable, "-c", REFUSE_WITHOUT_MEMORY, str(tmp_path / "large")], capture_output=True, text=True
    )

    assert json.loads(finished.stdout) != {"large": "decoded"}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_the_limit_of_pixels_is_the_last_size_that_is_read(encode: Encode, image_format: str) -> None:
    data = encode(Image.new("RGB", (40, 25)), image_format)

    assert decode(data, Limits(max_pixels=1000))[0].size == (40, 25)
    with pytest.raises(LimitExceeded, match="40x25"):
        decode(data, Limits(max_pixels=999))


def test_the_limit_of_bytes_is_the_last_size_that_is_read(chelsea: bytes) -> None:
    decode(chelsea, Limits(max_bytes=len(chelsea)))

    with pytest.raises(LimitExceeded) as raised:
        decode(chelsea, Limits(max_bytes=len(chelsea) - 1))

    assert raised.value.reason == "IMAGE_TOO_MANY_BYTES"


def test_opening_decodes_nothing(encode: Encode) -> None:
    cut = encode(Image.new("RGB", (64, 64), (1, 2, 3)), "JPEG")[:-20]

    assert open_header(cut, Limits()).size == (64, 64)


def test_a_jpeg_of_thousands_of_scans_is_refused(encode: Encode) -> None:
    progressive = encode(Image.new("L", (64, 64), 77), "JPEG", progressive=True)
    last_scan = progressive[progressive.rindex(START_OF_SCAN) : -2]

    with pytest.raises(LimitExceeded) as raised:
        decode(progressive[:-2] + last_scan * 5000 + progressive[-2:], Limits())

    assert raised.value.reason == "IMAGE_TOO_MANY_SCANS"


def test_a_jpeg_of_a_hundred_thousand_segments_is_refused(encode: Encode) -> None:
    data = encode(Image.new("L", (64, 64), 77), "JPEG")

    with pytest.raises(LimitExceeded, match="segments"):
        decode(data[:2] + b"\xff\xe5\0\2" * 100_000 + data[2:], Limits())


def test_a_film_behind_a_jpeg_is_not_taken_for_scans(chelsea: bytes) -> None:
    film = b"\0\0\0\x18ftypmp42" + (START_OF_SCAN + bytes(30)) * 5000

    decode(chelsea + film, Limits())


def test_a_thumbnail_inside_a_jpeg_is_not_taken_for_scans(chelsea: bytes) -> None:
    segment = b"\xff\xe2" + struct.pack(">H", 2 + 3000) + START_OF_SCAN * 1500

    decode(chelsea[:2] + segment + chelsea[2:], Limits())


def tiff_of_strips(count: int, offsets: int = 4) -> bytes:
    """A grey TIFF one pixel wide with one byte a strip; `offsets` is the type of the list of their places."""
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


@pytest.mark.parametrize("offsets", [4, 1], ids=["numbers", "numbers said to be bytes"])
def test_a_tiff_of_a_million_strips_is_refused(offsets: int) -> None:
    with pytest.raises(LimitExceeded) as raised:
        decode(tiff_of_strips(1_000_000, offsets), Limits())

    assert raised.value.reason == "IMAGE_TOO_MANY_STRIPS"


def test_a_tiff_of_a_thousand_strips_is_read() -> None:
    assert decode(tiff_of_strips(1000), Limits())[0].size == (1, 1000)


@pytest.mark.parametrize(
    "tail",
    [b"", b"\xff\xff\xff\xff", b"\x08\0\0\0\x05", b"\x08\0\0\0\xff\xff"],
    ids=["none", "far", "cut", "empty"],
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_tiff_without_a_directory_is_corrupt(tail: bytes) -> None:
    with pytest.raises(ImageError) as raised:
        decode(b"II*\0" + tail, Limits())

    assert raised.value.reason == "IMAGE_CORRUPT"


def run_length_bmp(width: int, height: int) -> bytes:
    rows = b"".join(bytes([min(width, 255), 1, 0, 0]) for _ in range(height)) + b"\0\1"
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    palette = b"\0\0\0\0" + b"\x0a\x14\x1e\0" * 255
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + palette + rows


def test_a_run_length_bmp_is_read_up_to_a_few_megapixels() -> None:
    small, _ = decode(run_length_bmp(20, 10), Limits())

    assert (np.asarray(small) == (30, 20, 10)).all()
    with pytest.raises(LimitExceeded) as raised:
        decode(run_length_bmp(4000, 4000), Limits())
    assert raised.value.reason == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize("size", [(65_501, 1), (1, 65_501)])
def test_an_image_has_no_side_longer_than_a_jpeg_can_be(encode: Encode, size: tuple[int, int]) -> None:
    longest = (min(size[0], 65_500), min(size[1], 65_500))
    assert decode(encode(Image.new("L", longest), "PNG"), Limits())[0].size == longest
    for read in (
        lambda: decode(encode(Image.new("L", size), "PNG"), Limits()),
        lambda: from_array(np.zeros(size[::-1], np.uint8), Limits()),
    ):
        with pytest.raises(LimitExceeded) as raised:
            read()
        assert (raised.value.reason, raised.value.field) == ("IMAGE_TOO_MANY_PIXELS", "image")
