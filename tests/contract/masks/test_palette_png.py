"""Masks as palette PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass_contract.errors import ImageError
from spyglass_contract.masks.palette_png import VOID_COLOR, decode_mask, encode_mask


def colors_of(count: int) -> list[tuple[int, int, int]]:
    return [(index, 255 - index, 7) for index in range(count)]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 16, 17, 255])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (20, 33)])
@pytest.mark.parametrize("void", [False, True])
def test_every_value_is_decoded_as_it_was_encoded(classes: int, shape: tuple[int, int], void: bool) -> None:
    generator = np.random.default_rng(classes)
    mask = generator.integers(0, classes, shape, dtype=np.uint8)
    if void:
        mask[generator.random(shape) < 0.5] = 255
    np.testing.assert_array_equal(decode_mask(encode_mask(mask, colors_of(classes))), mask)


@pytest.mark.parametrize("classes", [2, 3, 16, 255])
def test_a_large_mask_is_decoded_as_it_was_encoded(classes: int) -> None:
    mask = np.random.default_rng(0).integers(0, classes, (1021, 1031), np.uint8)
    mask[:, 300:700] = np.sort(mask[:, 300:700], axis=1)
    np.testing.assert_array_equal(decode_mask(encode_mask(mask, colors_of(classes))), mask)


def test_a_mask_is_smaller_than_the_png_of_pillow() -> None:
    rows, columns = np.mgrid[:600, :800]
    mask = ((rows - 300) ** 2 + 0.4 * (columns - 400) ** 2 < 200**2).astype(np.uint8)
    mask += (rows - columns / 3 < 40).astype(np.uint8)
    image = Image.fromarray(mask)
    image.putpalette([level for color in colors_of(3) for level in color])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=2, optimize=True)
    assert len(encode_mask(mask, colors_of(3))) < 0.9 * buffer.tell()


@pytest.mark.parametrize(("classes", "depth"), [(2, 1), (3, 2), (4, 2), (5, 4), (16, 4), (17, 8), (255, 8)])
def test_a_pixel_has_the_fewest_bits_that_hold_the_classes(classes: int, depth: int) -> None:
    data = encode_mask(np.zeros((4, 4), np.uint8), colors_of(classes))
    assert data[12:16] == b"IHDR"
    assert data[24] == depth


def test_pixels_have_eight_bits_if_some_are_void() -> None:
    data = encode_mask(np.array([[0, 255]], np.uint8), colors_of(2))
    assert data[24] == 8
    assert opened(data).convert("RGB").getpixel((1, 0)) == VOID_COLOR


def test_the_palette_holds_the_colours_of_the_classes() -> None:
    image = opened(encode_mask(np.array([[0, 1, 2]], np.uint8), colors_of(3)))
    assert image.mode == "P"
    assert [image.convert("RGB").getpixel((x, 0)) for x in range(3)] == colors_of(3)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
def test_a_png_of_another_mode_is_rejected(mode: str, encode: Callable[..., bytes]) -> None:
    with pytest.raises(ImageError):
        decode_mask(encode(Image.new(mode, (4, 4))))


@pytest.mark.parametrize("image_format", ["GIF", "BMP", "TIFF"])
def test_a_palette_image_of_another_format_is_rejected(
    image_format: str, encode: Callable[..., bytes]
) -> None:
    with pytest.raises(ImageError):
        decode_mask(encode(Image.new("P", (4, 4)), image_format))


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_data_that_is_not_a_png_is_rejected(data: bytes) -> None:
    with pytest.raises(ImageError):
        decode_mask(data)


def test_a_mask_that_is_cut_off_anywhere_is_rejected() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (40, 40), dtype=np.uint8)
    data = encode_mask(noise, colors_of(2))
    for length in range(0, len(data) - 30, 11):
        with pytest.raises(ImageError):
            decode_mask(data[:length])


def test_bombs_are_rejected(bomb: bytes) -> None:
    with pytest.raises(ImageError):
        decode_mask(bomb)
