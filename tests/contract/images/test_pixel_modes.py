"""Every mode that Pillow can open has a rule or a refusal, and none ends in another error."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode, to_mode
from spyglass_contract.images.header import Limits

READ = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"}
READ |= {"I;16", "I;16B", "I;16L", "I;16N"}
REFUSED = {"LAB", "HSV", "I", "F"}


def test_the_modes_of_pillow_are_all_known() -> None:
    assert set(Image.MODES) | {"I;16N"} == READ | REFUSED


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("mode", sorted(READ))
def test_a_mode_with_a_rule_becomes_grey_or_rgb(mode: str, grey: bool) -> None:
    found = to_mode(Image.new(mode, (3, 2)), grey=grey)

    assert (found.mode, found.size) == ("L" if grey else "RGB", (3, 2))


@pytest.mark.parametrize("mode", sorted(REFUSED))
def test_a_mode_without_a_rule_is_refused_by_name(mode: str) -> None:
    with pytest.raises(ImageError, match=mode) as raised:
        to_mode(Image.new(mode, (3, 2)), grey=False)

    assert raised.value.reason == "IMAGE_COLOR_UNSUPPORTED"


def tiff(photometric: int, samples: int, extra: int, pixels: bytes, planar: int = 1) -> bytes:
    """A TIFF of 1 × 1 pixel of 8-bit samples; `extra` is the meaning of the last sample."""
    offsets = [8 + index for index in range(samples)]
    entries = [(256, [1]), (257, [1]), (258, [8] * samples), (259, [1]), (262, [photometric])]
    entries += [(273, offsets if planar == 2 else [8]), (277, [samples]), (278, [1])]
    entries += [(279, [1] * samples if planar == 2 else [samples]), (284, [planar]), (338, [extra])]
    start = 8 + len(pixels)
    fields, lists, after = b"", b"", start + 2 + 12 * len(entries) + 4
    for tag, values in entries:
        content = struct.pack(f"<{len(values)}L", *values)
        if len(values) > 1:
            fields += struct.pack("<HHLL", tag, 4, len(values), after + len(lists))
            lists += content
        else:
            fields += struct.pack("<HHL", tag, 4, 1) + content
    return (
        b"II*\0"
        + struct.pack("<L", start)
        + pixels
        + struct.pack("<H", len(entries))
        + fields
        + bytes(4)
        + lists
    )


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(
    ("photometric", "pixel", "over_white"),
    [(1, [40, 128], [167, 167, 167]), (2, [40, 0, 128, 128], [167, 127, 255])],
    ids=["grey", "RGB"],
)
def test_colours_that_are_multiplied_by_alpha_are_drawn_over_white(
    photometric: int, pixel: list[int], over_white: list[int], planar: int
) -> None:
    data = tiff(photometric, len(pixel), 1, bytes(pixel), planar)

    found = np.asarray(decode(data, Limits())[0])[0, 0]

    np.testing.assert_allclose(found, over_white, atol=1)


def bmp_with_alpha(alphas: list[int]) -> bytes:
    """A BMP of one row with a V5 header that states an alpha mask."""
    header = struct.pack("<LllHHLLllLL", 124, len(alphas), 1, 1, 32, 3, 0, 0, 0, 0, 0)
    masks = struct.pack("<LLLL", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    rows = b"".join(bytes([30, 20, 10, alpha]) for alpha in alphas)
    body = header + masks + bytes(124 - len(header) - len(masks)) + rows
    return b"BM" + struct.pack("<LHHL", 14 + len(body), 0, 0, 14 + 124) + body


@pytest.mark.parametrize(
    ("alphas", "pixels"),
    [
        ([0, 0], [[10, 20, 30], [10, 20, 30]]),
        ([255, 255], [[10, 20, 30], [10, 20, 30]]),
        ([0, 255], [[255, 255, 255], [10, 20, 30]]),
    ],
)
def test_an_alpha_channel_of_a_bmp_that_is_0_everywhere_counts_as_none(
    alphas: list[int], pixels: list[list[int]]
) -> None:
    assert np.asarray(decode(bmp_with_alpha(alphas), Limits())[0])[0].tolist() == pixels


BROKEN_FAX = """
import os, struct, sys, logging, warnings
from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits
logging.basicConfig(level="DEBUG")
rows = os.urandom(200_000)
values = [(256, 64), (257, 5000), (258, 1), (259, 3), (262, 0), (273, 8), (277, 1), (278, 5000)]
values.append((279, len(rows)))
directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in values)
data = b"II*\\0" + struct.pack("<L", 8 + len(rows)) + rows
data += struct.pack("<H", len(values)) + directory + bytes(4)
try:
    print(decode(data, Limits())[0].size)
except SpyglassError as error:
    print(error.reason)
"""


def test_a_broken_fax_writes_no_line_on_standard_error() -> None:
    finished = subprocess.run([sys.executable, "-c", BROKEN_FAX], capture_output=True, text=True, check=True)

    assert finished.stdout
    assert [line for line in finished.stderr.splitlines() if "PIL" not in line] == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda data: data.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12 bits a sample"),
        (lambda data: data.replace(b"\xff\xc0\0\x11", b"\xff\xc5\0\x11"), "hierarchical"),
        (lambda data: data.replace(b"\xff\xc0\0\x11", b"\xff\xcb\0\x11"), "arithmetic"),
        (lambda data: data.replace(b"\xff\xc0\0\x11", b"\xff\xf7\0\x11"), "JPEG-LS"),
    ],
)
def test_a_jpeg_of_a_kind_that_is_not_read_is_refused_by_name(
    chelsea: bytes, make: Callable[[bytes], bytes], kind: str
) -> None:
    with pytest.raises(ImageError, match=kind) as raised:
        decode(make(chelsea), Limits())

    assert raised.value.reason == "IMAGE_KIND_UNSUPPORTED"


def test_a_marker_in_damaged_coded_data_is_not_taken_for_a_kind(chelsea: bytes) -> None:
    scan = chelsea.index(b"\xff\xda")
    damaged = chelsea[: scan + 500] + b"\xff\xf7\0\2" + chelsea[scan + 504 :]

    with pytest.raises(ImageError) as raised:
        decode(damaged, Limits())

    assert raised.value.reason == "IMAGE_CORRUPT"
