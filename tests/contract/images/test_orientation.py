"""EXIF and TIFF orientation: images are turned upright; a broken EXIF block turns none."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass_client._images import image_message
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import prepare

Encode = Callable[..., bytes]

ORIENTATION = 0x0112

# The turn of the stored pixels, by the EXIF specification (CIPA DC-008, 4.6.4 A, tag 274).
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
}
FORMATS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "TIFF-LZW": {"compression": "tiff_lzw"},
}


def stored_pixels() -> NDArray[np.uint8]:
    """48 × 32, six squares of 16 × 16 in six colours: a JPEG keeps them."""
    colors = np.array(
        [[[250, 0, 0], [0, 250, 0], [0, 0, 250]], [[250, 250, 0], [0, 250, 250], [250, 250, 250]]], np.uint8
    )
    return colors.repeat(16, axis=0).repeat(16, axis=1)


def exif_of(orientation: object) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("image_format", FORMATS)
def test_a_turned_image_comes_out_upright(encode: Encode, image_format: str, orientation: int) -> None:
    stored = stored_pixels()
    options = FORMATS[image_format]
    data = encode(
        Image.fromarray(stored), image_format.partition("-")[0], exif=exif_of(orientation), **options
    )

    image, frame = decode(data, Limits())

    upright = TURNS[orientation](stored)
    assert (frame.height, frame.width) == upright.shape[:2]
    assert np.abs(np.asarray(image).astype(int) - upright).max() <= 6


@pytest.mark.parametrize("orientation", TURNS)
def test_a_turned_image_is_prepared_as_the_upright_one(
    encode: Encode, make_spec: Encode, orientation: int
) -> None:
    stored, spec = stored_pixels(), make_spec(width=12)
    turned = encode(Image.fromarray(stored), "PNG", exif=exif_of(orientation))
    upright = np.ascontiguousarray(TURNS[orientation](stored))

    found, expected = prepare(turned, spec), prepare(upright, spec)

    assert (found.width, found.height) == (expected.width, expected.height)
    np.testing.assert_array_equal(found.pixels, expected.pixels)


@pytest.fixture(params=["server", "client"])
def upright_pixels(request: pytest.FixtureRequest) -> Callable[[bytes], NDArray[np.uint8]]:
    """How the server decodes a file, and how the client sends the same file opened by Pillow."""
    if request.param == "server":
        return lambda data: np.asarray(decode(data, Limits())[0])

    def sent(data: bytes) -> NDArray[np.uint8]:
        raw = image_message(Image.open(io.BytesIO(data))).raw
        return np.frombuffer(raw.data, np.uint8).reshape(raw.height, raw.width, raw.channels)

    return sent


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize(
    "exif",
    [
        exif_of(0).tobytes(),
        exif_of(9).tobytes(),
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x03up\0\0\0\0\0\0",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12",
        b"Exif\0\0" + bytes(range(256)),
    ],
    ids=["0", "9", "text", "empty", "offset beyond the end", "cut off", "noise"],
)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP"])
def test_an_orientation_that_cannot_be_read_counts_as_none_on_the_server_and_in_the_client(
    encode: Encode, image_format: str, exif: bytes, upright_pixels: Callable[[bytes], NDArray[np.uint8]]
) -> None:
    stored = stored_pixels()
    data = encode(Image.fromarray(stored), image_format, exif=exif, **FORMATS[image_format])

    assert np.abs(upright_pixels(data).astype(int) - stored).max() <= 6


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("image_format", FORMATS)
def test_the_server_and_the_client_turn_an_image_alike(
    encode: Encode,
    image_format: str,
    orientation: int,
    upright_pixels: Callable[[bytes], NDArray[np.uint8]],
) -> None:
    stored = stored_pixels()
    name, exif = image_format.partition("-")[0], exif_of(orientation)
    data = encode(Image.fromarray(stored), name, exif=exif, **FORMATS[image_format])

    found = upright_pixels(data).astype(int)

    assert np.abs(found - TURNS[orientation](stored)).max() <= 6
