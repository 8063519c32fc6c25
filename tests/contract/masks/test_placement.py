"""Masks are placed as the pixels of their image are."""

from __future__ import annotations

import numpy as np
import pytest

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ResizeRule,
)
from spyglass_contract.images.geometry import place
from spyglass_contract.images.pixels import prepare
from spyglass_contract.masks.placement import mask_to_image, mask_to_input

RULES = pytest.mark.parametrize(
    "rule", [RESIZE_RULE_STRETCH, RESIZE_RULE_CROP, RESIZE_RULE_PAD], ids=["stretch", "crop", "pad"]
)
SIZES = pytest.mark.parametrize(("width", "height"), [(120, 90), (61, 203), (13, 7), (40, 40)])


def spec_of(rule: ResizeRule.ValueType) -> InputSpec:
    return InputSpec(tensor="image", height=40, width=56, color_mode=COLOR_MODE_GREY, resize=rule)


def rectangle(width: int, height: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """200 in a part of the image, 50 around it."""
    mask = np.full((height, width), 50, np.uint8)
    mask[height // 4 : height // 2, width // 3 :] = 200
    return mask


@RULES
@SIZES
def test_a_mask_is_placed_as_an_image_of_it_is(rule: ResizeRule.ValueType, width: int, height: int) -> None:
    spec, mask = spec_of(rule), rectangle(width, height)
    placed = mask_to_input(mask, spec, outside=0)
    interpolated = prepare(mask, spec).pixels[..., 0]
    assert set(np.unique(placed)) <= {0, 50, 200}
    # The border is where the interpolated image is half-way between the two values.
    assert ((placed == 200) == (interpolated > 125)).mean() > 0.97
    assert ((placed == 0) == (interpolated == 0)).all()


@RULES
@SIZES
def test_a_mask_brought_to_the_input_and_back_changes_only_at_its_edges(
    rule: ResizeRule.ValueType, width: int, height: int
) -> None:
    spec, mask = spec_of(rule), rectangle(width, height)
    placement = place(width, height, spec)
    back = mask_to_image(mask_to_input(mask, spec, outside=9), spec, placement, width, height, outside=7)
    covered = back != 7
    left, top, right, bottom = placement.source
    # The box cuts some pixels in two.
    assert abs(covered.sum() - (right - left) * (bottom - top)) <= width + height
    assert (back[covered] == mask[covered]).mean() > 0.9


def test_padding_is_outside_to_the_pixel() -> None:
    spec = spec_of(RESIZE_RULE_PAD)
    placed = mask_to_input(np.ones((80, 10), np.uint8), spec, outside=3)
    left, top, right, bottom = place(10, 80, spec).target
    expected = np.full((40, 56), 3, np.uint8)
    expected[top:bottom, left:right] = 1
    np.testing.assert_array_equal(placed, expected)
