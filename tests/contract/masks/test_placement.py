"""A mask goes where the image's own pixels go."""

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
def test_a_mask_lies_where_the_image_of_it_lies(rule: ResizeRule.ValueType, width: int, height: int) -> None:
    spec, mask = spec_of(rule), rectangle(width, height)
    carried = mask_to_input(mask, spec, outside=0)
    interpolated = prepare(mask, spec).pixels[..., 0]
    assert set(np.unique(carried)) <= {0, 50, 200}
    # Half-way between the two values is where the one ends and the other begins.
    assert ((carried == 200) == (interpolated > 125)).mean() > 0.97
    assert ((carried == 0) == (interpolated == 0)).all()


@RULES
@SIZES
def test_a_mask_carried_there_and_back_is_itself_but_for_its_edges(
    rule: ResizeRule.ValueType, width: int, height: int
) -> None:
    spec, mask = spec_of(rule), rectangle(width, height)
    placement = place(width, height, spec)
    back = mask_to_image(mask_to_input(mask, spec, outside=9), spec, placement, width, height, outside=7)
    seen = back != 7
    left, top, right, bottom = placement.source
    # Whole pixels, of which the box cuts some in two.
    assert abs(seen.sum() - (right - left) * (bottom - top)) <= width + height
    assert (back[seen] == mask[seen]).mean() > 0.9


def test_what_is_padded_is_outside_to_the_pixel() -> None:
    spec = spec_of(RESIZE_RULE_PAD)
    carried = mask_to_input(np.ones((80, 10), np.uint8), spec, outside=3)
    left, top, right, bottom = place(10, 80, spec).target
    expected = np.full((40, 56), 3, np.uint8)
    expected[top:bottom, left:right] = 1
    np.testing.assert_array_equal(carried, expected)
