"""Heatmaps drawn over images: sizes, places and colours."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import (
    COLOR_MODE_RGB,
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
)
from spyglass_contract.heatmaps.colors import JET
from spyglass_contract.heatmaps.overlay import draw_overlay, grey_levels, map_to_image, map_to_size
from spyglass_contract.images.geometry import Box, input_box, place

RULES = {"stretch": RESIZE_RULE_STRETCH, "crop": RESIZE_RULE_CROP, "pad": RESIZE_RULE_PAD}
IMAGES = [(40, 30), (30, 40), (21, 21), (7, 90)]


def spec(rule: str, crop_fraction: float = 0.0) -> InputSpec:
    return InputSpec(
        height=24, width=24, color_mode=COLOR_MODE_RGB, resize=RULES[rule], crop_fraction=crop_fraction
    )


def box_of(rule: str, width: int, height: int, crop_fraction: float = 0.0) -> Box:
    card_input = spec(rule, crop_fraction)
    return input_box(place(width, height, card_input), card_input)


def interpolated(values: NDArray[np.float32], box: Box, width: int, height: int) -> NDArray[np.float64]:
    """The definition, pixel by pixel: bilinear between the cells' centres, 0 outside the box."""
    rows, columns = values.shape
    result = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            column = (x + 0.5 - box[0]) * columns / (box[2] - box[0])
            row = (y + 0.5 - box[1]) * rows / (box[3] - box[1])
            if not (0 <= column < columns and 0 <= row < rows):
                continue
            column, row = np.clip(column - 0.5, 0, columns - 1), np.clip(row - 0.5, 0, rows - 1)
            left, top = int(column), int(row)
            right, bottom = min(left + 1, columns - 1), min(top + 1, rows - 1)
            across, down = column - left, row - top
            upper = values[top, left] * (1 - across) + values[top, right] * across
            lower = values[bottom, left] * (1 - across) + values[bottom, right] * across
            result[y, x] = upper * (1 - down) + lower * down
    return result


@pytest.fixture
def cells() -> NDArray[np.float32]:
    return np.random.default_rng(7).random((7, 5), dtype=np.float32)


@pytest.mark.parametrize("size", IMAGES)
@pytest.mark.parametrize("rule", RULES)
def test_a_map_is_interpolated_bilinearly_over_the_networks_input(
    rule: str, size: tuple[int, int], cells: NDArray[np.float32]
) -> None:
    box = box_of(rule, *size)
    found = map_to_image(cells, box, *size)
    assert found.dtype == np.float32
    assert found.shape == (size[1], size[0])
    np.testing.assert_allclose(found, interpolated(cells, box, *size), atol=1e-6)


def test_the_cropped_part_of_an_image_is_zero() -> None:
    found = map_to_image(np.ones((3, 3), np.float32), box_of("crop", 40, 20), 40, 20)
    assert not found[:, :10].any()
    assert not found[:, 30:].any()
    assert (found[:, 10:30] == 1).all()


def test_a_crop_fraction_leaves_a_border_of_zeros() -> None:
    found = map_to_image(np.ones((3, 3), np.float32), box_of("crop", 40, 40, 0.5), 40, 40)
    assert found.sum() == 20 * 20
    assert (found[10:30, 10:30] == 1).all()


def test_the_padded_part_of_a_map_is_cut_off() -> None:
    # 24 × 12 pixels of the input are the image; the map's upper and lower quarter lie on black.
    cells = np.array([[1], [0.25], [0.25], [1]], np.float32).repeat(4, axis=1)
    found = map_to_image(cells, box_of("pad", 40, 20), 40, 20)
    assert found[9:11].max() == 0.25
    assert found.max() < 0.7


def test_the_box_of_a_padded_image_reaches_beyond_it() -> None:
    assert box_of("pad", 40, 20) == (0, -10, 40, 30)
    assert box_of("crop", 40, 20) == (10, 0, 30, 20)
    assert box_of("stretch", 40, 20) == (0, 0, 40, 20)


@pytest.mark.parametrize("rule", RULES)
def test_a_map_of_zeros_stays_zero(rule: str) -> None:
    assert not map_to_image(np.zeros((7, 7), np.float32), box_of(rule, 31, 17), 31, 17).any()


@pytest.mark.parametrize("size", IMAGES)
def test_interpolated_values_stay_in_the_range_of_the_map(
    size: tuple[int, int], cells: NDArray[np.float32]
) -> None:
    for found in (map_to_size(cells, *size), map_to_image(cells, box_of("stretch", *size), *size)):
        assert found.min() >= cells.min() - 1e-6
        assert found.max() <= cells.max() + 1e-6


def test_a_map_of_the_inputs_size_is_interpolated_alike(cells: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(
        map_to_size(cells, 24, 24), map_to_image(cells, (0, 0, 24, 24), 24, 24), atol=1e-6
    )


def test_grey_is_255_times_the_value_rounded() -> None:
    assert grey_levels(np.array([[0, 0.001, 0.002, 0.5, 1]], np.float32)).tolist() == [[0, 0, 1, 128, 255]]


def test_the_colours_are_those_of_matplotlibs_jet() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    theirs = matplotlib.colormaps["jet"](np.arange(256))[:, :3] * 255
    assert np.abs(theirs - JET).max() <= 0.5 + 1e-6


def test_the_colours_go_from_dark_blue_over_green_to_dark_red() -> None:
    assert JET[0].tolist() == [0, 0, 128]
    assert JET[255].tolist() == [128, 0, 0]
    assert JET[128, 1] == 255


def test_an_overlay_is_jet_at_40_percent_over_the_image() -> None:
    generator = np.random.default_rng(3)
    pixels = generator.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    values = generator.random((20, 30), dtype=np.float32)
    found = np.asarray(draw_overlay(Image.fromarray(pixels), values), np.float64)
    expected = 0.4 * JET[np.rint(values * 255).astype(int)] + 0.6 * pixels
    assert np.abs(found - expected).max() <= 1


def test_an_overlay_of_a_grey_image_has_colours() -> None:
    overlay = draw_overlay(Image.new("L", (4, 3), 100), np.ones((3, 4), np.float32))
    assert overlay.mode == "RGB"
    assert overlay.getpixel((0, 0)) == pytest.approx((111, 60, 60), abs=1)
