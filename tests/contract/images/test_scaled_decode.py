"""Large JPEGs are decoded at a reduced size; the network's input stays within 1 level on average."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
)
from spyglass_contract.images.decode import decode
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import prepare

Encode = Callable[..., bytes]
MakeSpec = Callable[..., InputSpec]

RULES = (RESIZE_RULE_STRETCH, RESIZE_RULE_CROP, RESIZE_RULE_PAD)
NETWORK = {"width": 224, "height": 224}
ORIENTATION = 0x0112


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def difference(data: bytes, make_spec: MakeSpec, **fields: object) -> float:
    """The mean absolute difference, of 255, between scaled and full decoding."""
    scaled = prepare(data, make_spec(**NETWORK, scaled_decode_margin=2, **fields)).pixels
    full = prepare(data, make_spec(**NETWORK, scaled_decode_margin=0, **fields)).pixels
    return float(np.abs(scaled.astype(int) - full).mean())


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_twelve_megapixel_photo_gives_nearly_the_input_of_full_decoding(
    twelve_megapixels: Image.Image, encode: Encode, make_spec: MakeSpec, progressive: bool
) -> None:
    data = encode(twelve_megapixels, "JPEG", quality=90, progressive=progressive)

    assert 0 < difference(data, make_spec, resize=RESIZE_RULE_CROP) < 1


def test_a_twelve_megapixel_photo_is_decoded_to_a_sixteenth_of_its_pixels(
    twelve_megapixels: Image.Image, encode: Encode, make_spec: MakeSpec
) -> None:
    data = encode(twelve_megapixels, "JPEG", quality=90)

    image, frame = decode(data, Limits(), make_spec(**NETWORK, scaled_decode_margin=2))

    assert image.size == (1000, 750)
    assert (frame.width, frame.height, frame.reduction) == (4000, 3000, 4)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [(1801, 1799), (1999, 903), (903, 1999)], ids=str)
def test_sides_that_the_reduction_does_not_divide_give_nearly_the_same_input(
    photograph: Callable[[int, int], Image.Image],
    encode: Encode,
    make_spec: MakeSpec,
    size: tuple[int, int],
    rule: int,
) -> None:
    data = encode(photograph(*size), "JPEG", quality=90)

    assert difference(data, make_spec, resize=rule) < 0.6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_gives_nearly_the_input_of_full_decoding(
    photograph: Callable[[int, int], Image.Image], encode: Encode, make_spec: MakeSpec, orientation: int
) -> None:
    data = encode(photograph(1801, 1027), "JPEG", quality=90, exif=turned(orientation))

    assert 0 < difference(data, make_spec, resize=RESIZE_RULE_CROP) < 0.6


def test_a_turned_photo_is_reduced_by_its_upright_size(
    photograph: Callable[[int, int], Image.Image], encode: Encode, make_spec: MakeSpec
) -> None:
    data = encode(photograph(1000, 500), "JPEG", exif=turned(6))

    tall, frame = decode(data, Limits(), make_spec(width=100, height=250, scaled_decode_margin=2))
    wide, _ = decode(data, Limits(), make_spec(width=250, height=100, scaled_decode_margin=2))

    assert (tall.size, frame.width, frame.height) == ((250, 500), 500, 1000)
    assert wide.size == (500, 1000)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_grey_or_cmyk_photo_gives_nearly_the_input_of_full_decoding(
    photograph: Callable[[int, int], Image.Image], encode: Encode, make_spec: MakeSpec, mode: str
) -> None:
    data = encode(photograph(1800, 1200).convert(mode), "JPEG", quality=90)

    assert 0 < difference(data, make_spec) < 1
    assert 0 < difference(data, make_spec, color_mode=COLOR_MODE_GREY) < 1


@pytest.mark.parametrize("size", [(1792, 1792), (1791, 1792), (896, 3000), (895, 900), (447, 447)], ids=str)
def test_at_least_twice_the_input_is_decoded(
    encode: Encode, make_spec: MakeSpec, size: tuple[int, int]
) -> None:
    image, _ = decode(
        encode(Image.new("RGB", size), "JPEG"), Limits(), make_spec(**NETWORK, scaled_decode_margin=2)
    )

    assert image.width >= min(2 * 224, size[0])
    assert image.height >= min(2 * 224, size[1])


@pytest.mark.parametrize(
    ("side", "decoded"), [(8 * 448, 448), (8 * 448 - 1, 896), (4 * 448 - 1, 896), (2 * 448 - 1, 895)]
)
def test_the_reduction_is_the_greatest_that_leaves_twice_the_input(
    encode: Encode, make_spec: MakeSpec, side: int, decoded: int
) -> None:
    data = encode(Image.new("L", (side, side)), "JPEG")

    image, _ = decode(data, Limits(), make_spec(**NETWORK, scaled_decode_margin=2))

    assert image.size == (decoded, decoded)


def test_without_a_margin_every_pixel_is_decoded(
    photograph: Callable[[int, int], Image.Image], encode: Encode, make_spec: MakeSpec
) -> None:
    data = encode(photograph(1800, 1200), "JPEG")
    full, _ = decode(data, Limits())

    assert full.size == (1800, 1200)
    np.testing.assert_array_equal(
        prepare(data, make_spec(**NETWORK)).pixels, prepare(np.asarray(full), make_spec(**NETWORK)).pixels
    )


def test_other_formats_are_decoded_in_full(encode: Encode, make_spec: MakeSpec) -> None:
    for image_format in ("PNG", "WEBP", "BMP", "GIF", "TIFF"):
        data = encode(Image.new("RGB", (200, 200)), image_format)
        image, frame = decode(data, Limits(), make_spec(scaled_decode_margin=2))
        assert (image.size, frame.reduction) == ((200, 200), 1)
