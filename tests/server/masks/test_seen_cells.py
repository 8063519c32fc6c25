"""The cells of a network's output that show the image, and their position."""

from __future__ import annotations

import numpy as np
import pytest

from spyglass.v1.model_pb2 import (
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ResizeRule,
)
from spyglass_contract.images.geometry import Box, input_box, place
from spyglass_server.masks.seen_cells import SeenCells


def box_of(size: tuple[int, int], rule: ResizeRule.ValueType) -> Box:
    spec = InputSpec(height=24, width=24, resize=rule)
    return input_box(place(*size, spec), spec)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((64, 48), (3, 21), (0, 24)),
        ((48, 64), (0, 24), (3, 21)),
        ((64, 47), (3, 21), (0, 24)),
        ((9, 9), (0, 24), (0, 24)),
    ],
)
def test_the_seen_cells_of_a_padded_image_are_those_that_show_a_part_of_it(
    size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    seen = SeenCells.of(box_of(size, RESIZE_RULE_PAD), *size, (24, 24))
    assert (seen.rows, seen.columns) == (slice(*rows), slice(*columns))
    # The image fills these cells, except for the rounding to whole pixels of the input.
    assert seen.box == pytest.approx((0, 0, *size), abs=2)


@pytest.mark.parametrize("rule", [RESIZE_RULE_STRETCH, RESIZE_RULE_CROP])
def test_all_cells_show_the_image_if_there_is_no_padding(rule: ResizeRule.ValueType) -> None:
    box = box_of((61, 43), rule)
    seen = SeenCells.of(box, 61, 43, (12, 8))
    assert (seen.rows, seen.columns) == (slice(0, 12), slice(0, 8))
    assert seen.box == pytest.approx(box)


def test_a_cell_that_shows_a_part_of_the_image_is_seen() -> None:
    seen = SeenCells.of((-5.0, 0.0, 15.0, 10.0), 10, 10, (2, 5))
    assert (seen.rows, seen.columns) == (slice(0, 2), slice(1, 4))
    assert seen.box == (-1, 0, 11, 10)


def test_selected_cells_of_an_output_can_be_put_back() -> None:
    output = np.arange(10, dtype=np.uint8).reshape(2, 5)
    seen = SeenCells.of((-5.0, 0.0, 15.0, 10.0), 10, 10, (2, 5))
    assert seen.select(output).tolist() == [[1, 2, 3], [6, 7, 8]]
    whole = seen.spread(seen.select(output), 255)
    assert whole.tolist() == [[255, 1, 2, 3, 255], [255, 6, 7, 8, 255]]
    assert whole.dtype == np.uint8
