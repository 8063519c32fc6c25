"""The colour rules of `decode`, on pixels whose values are known."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec
from spyglass_contract.errors import ImageError
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits

Encode = Callable[..., bytes]
MakeSpec = Callable[..., InputSpec]


def pixels_of(data: bytes, spec: InputSpec | None = None) -> NDArray[np.uint8]:
    return np.asarray(decode(data, Limits(), spec)[0])


def first_pixel(data: bytes) -> list[int]:
    return pixels_of(data)[0, 0].tolist()


def test_rgb_stays_as_it_is(encode: Encode) -> None:
    assert first_pixel(encode(Image.new("RGB", (2, 2), (12, 34, 56)))) == [12, 34, 56]


@pytest.mark.parametrize(
    ("color", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((90, 90, 90), 90)]
)
def test_rgb_becomes_grey_by_luma(
    encode: Encode, make_spec: MakeSpec, color: tuple[int, int, int], luma: int
) -> None:
    grey = pixels_of(encode(Image.new("RGB", (2, 2), color)), make_spec(color_mode=COLOR_MODE_GREY))

    assert grey.shape == (2, 2)
    assert grey[0, 0] == luma


def test_grey_becomes_rgb_by_repetition(encode: Encode) -> None:
    assert first_pixel(encode(Image.new("L", (2, 2), 77))) == [77, 77, 77]


def test_grey_stays_as_it_is_for_a_grey_model(encode: Encode, make_spec: MakeSpec) -> None:
    grey = pixels_of(encode(Image.new("L", (2, 2), 77)), make_spec(color_mode=COLOR_MODE_GREY))

    assert (grey == 77).all()


def test_one_bit_pixels_become_0_and_255(encode: Encode) -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)

    assert pixels_of(encode(image)).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("ink", [(255, 0, 0, 0), (0, 0, 0, 255), (100, 50, 25, 40), (10, 200, 0, 128)])
def test_cmyk_becomes_rgb_by_the_formula(encode: Encode, ink: tuple[int, int, int, int]) -> None:
    *colors, black = ink
    expected = [(255 - color) * (255 - black) / 255 for color in colors]

    found = first_pixel(encode(Image.new("CMYK", (2, 2), ink), "TIFF"))

    np.testing.assert_allclose(found, expected, atol=1)


def test_a_cmyk_jpeg_has_the_colours_it_was_saved_with(encode: Encode) -> None:
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=100)

    np.testing.assert_allclose(first_pixel(data), [255, 0, 0], atol=3)


def test_cmyk_becomes_grey_through_rgb(encode: Encode, make_spec: MakeSpec) -> None:
    data = encode(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "TIFF")

    assert pixels_of(data, make_spec(color_mode=COLOR_MODE_GREY))[0, 0] == 76


def paletted() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    return image


@pytest.mark.parametrize("image_format", ["PNG", "GIF", "BMP", "TIFF"])
def test_palette_indices_become_the_colours_of_the_palette(encode: Encode, image_format: str) -> None:
    data = encode(paletted(), image_format)

    assert pixels_of(data).tolist() == [[[10, 20, 30], [200, 100, 50]]]


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_a_transparent_palette_entry_is_white(encode: Encode, image_format: str) -> None:
    data = encode(paletted(), image_format, transparency=1)

    assert pixels_of(data).tolist() == [[[10, 20, 30], [255, 255, 255]]]


def test_a_half_transparent_palette_entry_is_mixed_with_white(encode: Encode) -> None:
    data = encode(paletted(), "PNG", transparency=bytes([255, 128]))

    expected = [value * 128 / 255 + 255 * 127 / 255 for value in (200, 100, 50)]
    np.testing.assert_allclose(pixels_of(data)[0, 1], expected, atol=1)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("alpha", [0, 1, 128, 255])
def test_transparent_pixels_are_drawn_over_white(encode: Encode, image_format: str, alpha: int) -> None:
    data = encode(Image.new("RGBA", (2, 2), (200, 100, 0, alpha)), image_format)

    expected = [(value * alpha + 255 * (255 - alpha)) / 255 for value in (200, 100, 0)]
    np.testing.assert_allclose(first_pixel(data), expected, atol=1)


def test_transparent_grey_pixels_are_drawn_over_white(encode: Encode, make_spec: MakeSpec) -> None:
    data = encode(Image.new("LA", (2, 2), (0, 128)))

    assert first_pixel(data) == [127, 127, 127]
    assert pixels_of(data, make_spec(color_mode=COLOR_MODE_GREY))[0, 0] == 127


def test_a_transparent_webp_is_drawn_over_white(encode: Encode) -> None:
    data = encode(Image.new("RGBA", (2, 2), (0, 0, 0, 0)), "WEBP", lossless=True)

    assert first_pixel(data) == [255, 255, 255]


def test_the_transparent_colour_of_a_png_becomes_white(raw_png: Encode) -> None:
    row = bytes([10, 20, 30, 40, 50, 60])

    data = raw_png(2, 8, 2, row, transparent=struct.pack(">HHH", 10, 20, 30))

    assert pixels_of(data).tolist() == [[[255, 255, 255], [40, 50, 60]]]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_grey_keeps_its_high_byte(encode: Encode, byte_order: str) -> None:
    samples = np.array([[0x1234, 0xFFFF], [0x00FF, 0x8000]], f"{byte_order}u2")

    for image_format in ("PNG", "TIFF"):
        grey = pixels_of(encode(Image.fromarray(samples), image_format))[:, :, 0]
        assert grey.tolist() == [[0x12, 0xFF], [0x00, 0x80]]


def test_the_transparent_16_bit_grey_of_a_png_becomes_white(raw_png: Encode) -> None:
    row = struct.pack(">HHH", 0x1234, 0x1235, 0x8000)

    data = raw_png(3, 16, 0, row, transparent=struct.pack(">H", 0x1234))

    assert pixels_of(data)[0, :, 0].tolist() == [255, 0x12, 0x80]


def test_16_bit_colours_keep_their_high_bytes(raw_png: Encode) -> None:
    assert first_pixel(raw_png(1, 16, 2, struct.pack(">HHH", 0x12FF, 0x3400, 0xFFFF))) == [0x12, 0x34, 0xFF]


def test_transparent_16_bit_pixels_are_drawn_over_white(raw_png: Encode) -> None:
    rgba = struct.pack(">HHHH", 0, 0, 0xFFFF, 0x8000)
    grey = struct.pack(">HH", 0, 0x8000)

    assert first_pixel(raw_png(1, 16, 6, rgba)) == [127, 127, 255]
    assert first_pixel(raw_png(1, 16, 4, grey)) == [127, 127, 127]


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_samples_of_32_bits_and_lab_are_rejected(encode: Encode, mode: str) -> None:
    data = encode(Image.new(mode, (2, 2)), "TIFF")

    with pytest.raises(ImageError, match="8 or 16 bits a sample") as raised:
        decode(data, Limits())

    assert raised.value.reason == "IMAGE_COLOR_UNSUPPORTED"


def test_colour_profiles_are_not_applied(encode: Encode) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    assert first_pixel(encode(Image.new("RGB", (2, 2), (12, 34, 56)), icc_profile=profile)) == [12, 34, 56]
