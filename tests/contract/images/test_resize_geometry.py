"""The place of an image in the input: the boxes of each resize rule, at sizes from 1 to 20,000 pixels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyglass.v1.model_pb2 import (
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ResizeRule,
)
from spyglass_contract.errors import CardError
from spyglass_contract.images.geometry import Frame, Placement, jpeg_reduction, place

SIDES = st.integers(1, 20_000)
INPUT_SIDES = st.integers(1, 1024)
FRACTIONS = st.floats(1 / 64, 1, width=32)


def input_of(
    width: int, height: int, rule: ResizeRule.ValueType = RESIZE_RULE_STRETCH, fraction: float = 0
) -> InputSpec:
    return InputSpec(width=width, height=height, resize=rule, crop_fraction=fraction)


def test_stretch_fills_the_input_with_the_whole_image() -> None:
    assert place(451, 300, input_of(224, 160)) == Placement((0, 0, 451, 300), (0, 0, 224, 160))


@pytest.mark.parametrize(
    ("size", "source"),
    [
        ((400, 200), (100, 0, 300, 200)),
        ((200, 400), (0, 100, 200, 300)),
        ((301, 200), (50.5, 0, 250.5, 200)),
        ((1, 5000), (0, 2499.5, 1, 2500.5)),
        ((5000, 1), (2499.5, 0, 2500.5, 1)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_crop_keeps_the_largest_centred_box_of_the_inputs_shape(
    size: tuple[int, int], source: tuple[float, ...]
) -> None:
    placement = place(*size, input_of(224, 224, RESIZE_RULE_CROP))

    assert placement.source == pytest.approx(source)
    assert placement.target == (0, 0, 224, 224)


def test_a_crop_fraction_keeps_that_part_of_the_box() -> None:
    placement = place(500, 375, input_of(224, 224, RESIZE_RULE_CROP, 0.875))

    assert placement.source == pytest.approx((85.9375, 23.4375, 414.0625, 351.5625))


def test_a_crop_fraction_of_zero_keeps_the_whole_box() -> None:
    whole = place(500, 375, input_of(224, 224, RESIZE_RULE_CROP, 1))

    assert place(500, 375, input_of(224, 224, RESIZE_RULE_CROP, 0)) == whole


@pytest.mark.parametrize(
    ("size", "target"),
    [
        ((400, 200), (0, 56, 224, 168)),
        ((200, 400), (56, 0, 168, 224)),
        ((300, 301), (0, 0, 223, 224)),
        ((1, 5000), (111, 0, 112, 224)),
        ((5000, 1), (0, 111, 224, 112)),
        ((2, 2), (0, 0, 224, 224)),
    ],
)
def test_pad_centres_the_whole_image(size: tuple[int, int], target: tuple[int, int, int, int]) -> None:
    placement = place(*size, input_of(224, 224, RESIZE_RULE_PAD))

    assert placement.source == (0, 0, *size)
    assert placement.target == target


@given(SIDES, SIDES, INPUT_SIDES, INPUT_SIDES, FRACTIONS)
def test_a_crop_lies_inside_the_image_and_keeps_the_inputs_shape(
    width: int, height: int, input_width: int, input_height: int, fraction: float
) -> None:
    left, top, right, bottom = place(
        width, height, input_of(input_width, input_height, RESIZE_RULE_CROP, fraction)
    ).source

    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert (right - left) * input_height == pytest.approx((bottom - top) * input_width)
    assert left + right == pytest.approx(width)
    assert top + bottom == pytest.approx(height)


@given(SIDES, SIDES, INPUT_SIDES, INPUT_SIDES)
def test_a_full_crop_reaches_two_opposite_edges(
    width: int, height: int, input_width: int, input_height: int
) -> None:
    left, top, right, bottom = place(
        width, height, input_of(input_width, input_height, RESIZE_RULE_CROP)
    ).source

    assert right - left == pytest.approx(width) or bottom - top == pytest.approx(height)


@given(SIDES, SIDES, INPUT_SIDES, INPUT_SIDES)
def test_padding_lies_around_an_image_that_keeps_its_shape(
    width: int, height: int, input_width: int, input_height: int
) -> None:
    placement = place(width, height, input_of(input_width, input_height, RESIZE_RULE_PAD))
    left, top, right, bottom = placement.target
    kept_width, kept_height = placement.target_size

    assert 0 <= left < right <= input_width
    assert 0 <= top < bottom <= input_height
    assert kept_width == input_width or kept_height == input_height
    scale = min(input_width / width, input_height / height)
    assert abs(kept_width - max(width * scale, 1)) <= 0.5 + 1e-6
    assert abs(kept_height - max(height * scale, 1)) <= 0.5 + 1e-6
    assert abs(left - (input_width - right)) <= 1
    assert abs(top - (input_height - bottom)) <= 1


@given(SIDES, SIDES, INPUT_SIDES, INPUT_SIDES, st.integers(1, 8))
def test_the_reduction_is_the_greatest_that_leaves_the_margin(
    width: int, height: int, input_width: int, input_height: int, margin: int
) -> None:
    placement = place(width, height, input_of(input_width, input_height))

    reduction = jpeg_reduction(placement, margin)

    def leaves_enough(candidate: int) -> bool:
        return width / candidate >= margin * input_width and height / candidate >= margin * input_height

    assert reduction in (1, 2, 4, 8)
    assert reduction == 1 or leaves_enough(reduction)
    assert reduction == 8 or not leaves_enough(2 * reduction)


def test_the_reduction_depends_only_on_the_part_that_a_crop_keeps() -> None:
    wide = place(8000, 448, input_of(224, 224, RESIZE_RULE_CROP))

    assert jpeg_reduction(wide, 1) == 2
    assert jpeg_reduction(wide, 2) == 1


def test_without_a_margin_nothing_is_reduced() -> None:
    assert jpeg_reduction(place(20_000, 20_000, input_of(8, 8)), 0) == 1


@pytest.mark.parametrize(
    ("frame", "box"),
    [
        (Frame(100, 60), (10, 20, 100, 60)),
        (Frame(100, 60, 4), (2.5, 5, 25, 15)),
        (Frame(99, 59, 8, left=0.625, top=0.625), (1.875, 3.125, 13.125, 8.125)),
    ],
    ids=["in full", "reduced", "reduced and turned"],
)
def test_a_box_of_the_full_image_is_converted_to_decoded_pixels(frame: Frame, box: tuple[float, ...]) -> None:
    assert frame.decoded((10, 20, 100, 60)) == pytest.approx(box)


@pytest.mark.parametrize("rule", [0, 9])
def test_an_unknown_resize_rule_is_an_error_and_not_a_stretch(rule: ResizeRule.ValueType) -> None:
    with pytest.raises(CardError, match="resize must be RESIZE_RULE_STRETCH or RESIZE_RULE_CROP or"):
        place(40, 30, input_of(8, 8, rule))
