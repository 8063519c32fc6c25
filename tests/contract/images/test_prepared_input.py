"""`prepare`: every image becomes the input that the card states."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    COLOR_MODE_RGB,
    RESAMPLING_BICUBIC,
    RESAMPLING_BILINEAR,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
)
from spyglass_contract.errors import CardError, ImageError, LimitExceeded
from spyglass_contract.images.header import Limits
from spyglass_contract.images.input_spec import channels
from spyglass_contract.images.pixels import prepare

MakeSpec = Callable[..., InputSpec]

SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4])),
)
SPECS = st.builds(
    InputSpec,
    height=st.integers(1, 48),
    width=st.integers(1, 48),
    color_mode=st.sampled_from([COLOR_MODE_RGB, COLOR_MODE_GREY]),
    resize=st.sampled_from([RESIZE_RULE_STRETCH, RESIZE_RULE_CROP, RESIZE_RULE_PAD]),
    resampling=st.sampled_from([RESAMPLING_BILINEAR, RESAMPLING_BICUBIC]),
    crop_fraction=st.floats(0.125, 1, width=32),
    scaled_decode_margin=st.integers(0, 3),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(arrays(np.uint8, SHAPES, fill=st.integers(0, 255)), SPECS)
def test_any_array_becomes_the_input_that_the_card_states(pixels: np.ndarray, spec: InputSpec) -> None:
    prepared = prepare(pixels, spec)

    assert prepared.pixels.shape == (spec.height, spec.width, channels(spec))
    assert prepared.pixels.dtype == np.uint8
    assert (prepared.height, prepared.width) == pixels.shape[:2]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (7, 3), (451, 300)])
@pytest.mark.parametrize("rule", [RESIZE_RULE_STRETCH, RESIZE_RULE_CROP, RESIZE_RULE_PAD])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_any_file_becomes_the_input_that_the_card_states(
    encode: Callable[..., bytes], make_spec: MakeSpec, image_format: str, rule: int, size: tuple[int, int]
) -> None:
    data = encode(Image.new("RGB", size, (9, 9, 9)), image_format)

    prepared = prepare(data, make_spec(height=13, width=31, resize=rule, scaled_decode_margin=2))

    assert prepared.pixels.shape == (13, 31, 3)
    assert (prepared.width, prepared.height) == size


def test_an_image_of_the_inputs_size_is_not_changed(make_spec: MakeSpec) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (8, 8, 3), np.uint8)

    for rule in (RESIZE_RULE_STRETCH, RESIZE_RULE_CROP, RESIZE_RULE_PAD):
        np.testing.assert_array_equal(prepare(pixels, make_spec(resize=rule)).pixels, pixels)


def test_a_file_and_its_pixels_give_the_same_input(encode: Callable[..., bytes], make_spec: MakeSpec) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (37, 51, 3), np.uint8)

    from_file = prepare(encode(Image.fromarray(pixels)), make_spec(resize=RESIZE_RULE_CROP))

    np.testing.assert_array_equal(
        from_file.pixels, prepare(pixels, make_spec(resize=RESIZE_RULE_CROP)).pixels
    )


def test_a_reduction_averages_all_pixels(make_spec: MakeSpec) -> None:
    checkerboard = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)

    reduced = prepare(checkerboard, make_spec(color_mode=COLOR_MODE_GREY)).pixels

    assert np.abs(reduced.astype(int) - 127).max() <= 2


def test_crop_cuts_off_the_sides(make_spec: MakeSpec) -> None:
    pixels = np.zeros((8, 24, 3), np.uint8)
    pixels[:, 8:16] = 200

    assert (prepare(pixels, make_spec(resize=RESIZE_RULE_CROP)).pixels == 200).all()


def test_pad_centres_the_image_on_black(make_spec: MakeSpec) -> None:
    padded = prepare(np.full((8, 16, 3), 200, np.uint8), make_spec(resize=RESIZE_RULE_PAD)).pixels

    assert (padded[2:6] == 200).all()
    assert not padded[:2].any()
    assert not padded[6:].any()


def test_bicubic_and_bilinear_differ(make_spec: MakeSpec) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (5, 5, 3), np.uint8)

    bilinear, bicubic = (
        prepare(pixels, make_spec(resampling=kernel)).pixels
        for kernel in (RESAMPLING_BILINEAR, RESAMPLING_BICUBIC)
    )

    assert (bilinear != bicubic).any()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4, 5), np.uint8),
    ],
    ids=["float", "int64", "one axis", "four axes", "two channels", "five channels"],
)
def test_an_array_of_another_shape_or_type_is_rejected(make_spec: MakeSpec, pixels: np.ndarray) -> None:
    with pytest.raises(ImageError) as raised:
        prepare(pixels, make_spec())

    assert (raised.value.reason, raised.value.field) == ("IMAGE_SHAPE", "image.raw")


def test_an_array_without_pixels_is_rejected(make_spec: MakeSpec) -> None:
    with pytest.raises(ImageError, match="0x4"):
        prepare(np.zeros((4, 0, 3), np.uint8), make_spec())


def test_an_array_with_more_pixels_than_the_limit_is_rejected(make_spec: MakeSpec) -> None:
    with pytest.raises(LimitExceeded) as raised:
        prepare(np.zeros((11, 10), np.uint8), make_spec(), Limits(max_pixels=100))

    assert raised.value.reason == "IMAGE_TOO_MANY_PIXELS"


def test_transparent_pixels_of_an_array_are_drawn_over_white(make_spec: MakeSpec) -> None:
    assert (prepare(np.zeros((8, 8, 4), np.uint8), make_spec()).pixels == 255).all()


def test_a_strided_view_of_an_array_is_read_in_its_own_order(make_spec: MakeSpec) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (16, 16, 3), np.uint8)

    sliced = prepare(pixels[::2, ::-2], make_spec()).pixels

    np.testing.assert_array_equal(sliced, pixels[::2, ::-2])


@pytest.mark.parametrize(
    ("field", "value"),
    [("color_mode", 0), ("color_mode", 9), ("resize", 0), ("resize", 9), ("resampling", 9)],
)
def test_an_unknown_value_of_the_card_is_an_error_and_not_a_default(
    make_spec: MakeSpec, field: str, value: int
) -> None:
    spec = make_spec()
    setattr(spec, field, value)

    with pytest.raises(CardError, match=f"the card's {field} must be .* not "):
        prepare(np.zeros((4, 4, 3), np.uint8), spec)


@pytest.mark.parametrize("color_mode", [0, 9])
def test_an_unknown_colour_mode_has_no_number_of_channels(color_mode: int) -> None:
    with pytest.raises(CardError, match="color_mode"):
        channels(InputSpec(color_mode=color_mode))
