"""Images that are rejected by their header, before memory is taken for their pixels."""

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

from spyglass_contract.errors import LimitExceeded
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.header import Limits, open_header

Encode = Callable[..., bytes]

# Decodes each file of the command line with 48 MB of free address space, and prints the reasons of errors.
DECODE_WITHOUT_MEMORY = """
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


def test_a_bomb_is_rejected_by_its_header(bomb: bytes) -> None:
    with pytest.raises(LimitExceeded) as raised:
        decode(bomb, Limits())

    assert (raised.value.reason, raised.value.field) == ("IMAGE_TOO_MANY_PIXELS", "image")


def test_bombs_are_rejected_with_48_mb_of_memory(bombs: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)

    finished = subprocess.run(
        [sys.executable, "-c", DECODE_WITHOUT_MEMORY, *(str(tmp_path / name) for name in bombs)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(finished.stdout) == dict.fromkeys(bombs, "IMAGE_TOO_MANY_PIXELS")


def test_48_mb_of_memory_are_not_enough_for_an_image_within_the_limits(
    encode: Encode, tmp_path: Path
) -> None:
    (tmp_path / "large").write_bytes(encode(Image.new("RGB", (5000, 5000)), "WEBP", lossless=True, method=0))

    finished = subprocess.run(
        [sys.executable, "-c", DECODE_WITHOUT_MEMORY, str(tmp_path / "large")], capture_output=True, text=True
    )

    assert json.loads(finished.stdout) != {"large": "decoded"}


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_an_image_at_the_limit_of_pixels_is_decoded_and_a_larger_one_is_not(
    encode: Encode, image_format: str
) -> None:
    data = encode(Image.new("RGB", (40, 25)), image_format)

    assert decode(data, Limits(max_pixels=1000))[0].size == (40, 25)
    with pytest.raises(LimitExceeded, match="40x25"):
        decode(data, Limits(max_pixels=999))


def test_a_file_at_the_limit_of_bytes_is_decoded_and_a_larger_one_is_not(chelsea: bytes) -> None:
    decode(chelsea, Limits(max_bytes=len(chelsea)))

    with pytest.raises(LimitExceeded) as raised:
        decode(chelsea, Limits(max_bytes=len(chelsea) - 1))

    assert raised.value.reason == "IMAGE_TOO_MANY_BYTES"


def test_opening_the_header_decodes_no_pixels(encode: Encode) -> None:
    cut = encode(Image.new("RGB", (64, 64), (1, 2, 3)), "JPEG")[:-20]

    assert open_header(cut, Limits()).size == (64, 64)


def run_length_bmp(width: int, height: int) -> bytes:
    rows = b"".join(bytes([min(width, 255), 1, 0, 0]) for _ in range(height)) + b"\0\1"
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    palette = b"\0\0\0\0" + b"\x0a\x14\x1e\0" * 255
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + header + palette + rows


def test_a_run_length_bmp_of_more_than_a_few_megapixels_is_rejected() -> None:
    small, _ = decode(run_length_bmp(20, 10), Limits())

    assert (np.asarray(small) == (30, 20, 10)).all()
    with pytest.raises(LimitExceeded) as raised:
        decode(run_length_bmp(4000, 4000), Limits())
    assert raised.value.reason == "IMAGE_TOO_MANY_PIXELS"


@pytest.mark.parametrize("size", [(65_501, 1), (1, 65_501)])
def test_a_side_longer_than_65500_pixels_is_rejected(encode: Encode, size: tuple[int, int]) -> None:
    longest = (min(size[0], 65_500), min(size[1], 65_500))
    assert decode(encode(Image.new("L", longest), "PNG"), Limits())[0].size == longest
    for read in (
        lambda: decode(encode(Image.new("L", size), "PNG"), Limits()),
        lambda: from_array(np.zeros(size[::-1], np.uint8), Limits()),
    ):
        with pytest.raises(LimitExceeded) as raised:
            read()
        assert (raised.value.reason, raised.value.field) == ("IMAGE_TOO_MANY_PIXELS", "image")
