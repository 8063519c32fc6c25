"""Masks drawn over images: the classes, their borders and the legend."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.masks.colors import class_colors
from spyglass_contract.masks.drawing import border_lines, draw_mask, line_width

NAMES = ("background", "cat", "dog")
COLORS = class_colors(NAMES)
GREY = (100, 100, 100)


@pytest.fixture
def mask() -> NDArray[np.uint8]:
    """8 × 9: a cat in the middle of the background, and three void columns."""
    values = np.zeros((8, 9), np.uint8)
    values[2:7, 1:5] = 1
    values[:, 6:] = 255
    return values


def drawn(mask: NDArray[np.uint8], names: tuple[str, ...] = NAMES) -> NDArray[np.int_]:
    """The mask over a grey image of its size."""
    image = Image.new("RGB", mask.shape[::-1], GREY)
    return np.asarray(draw_mask(image, mask, names, class_colors(names)), int)


def test_a_class_is_half_its_colour_inside_and_opaque_at_its_border(mask: NDArray[np.uint8]) -> None:
    found = drawn(mask)
    half = (np.array(GREY) + COLORS[1]) / 2
    assert (found[2, 1:5] == COLORS[1]).all()
    assert (found[2:7, 1] == COLORS[1]).all()
    assert np.abs(found[4, 2] - half).max() <= 1


def test_the_background_and_void_pixels_are_not_drawn(mask: NDArray[np.uint8]) -> None:
    assert (drawn(mask)[mask != 1] == GREY).all()


def test_an_index_without_a_class_is_not_drawn(mask: NDArray[np.uint8]) -> None:
    assert (drawn(np.where(mask == 1, 77, mask).astype(np.uint8)) == GREY).all()


def test_the_edge_of_a_void_part_is_not_a_border() -> None:
    values = np.full((3, 12), 255, np.uint8)
    values[:, 4:8] = 1
    assert not border_lines(values, 2).any()


def test_a_line_has_the_same_width_on_both_sides_of_a_border() -> None:
    values = np.zeros((40, 40), np.uint8)
    values[:, 20:] = 1
    for width in (1, 2, 3, 7):
        expected = np.zeros_like(values, bool)
        expected[:, 20 - width : 20 + width] = True
        np.testing.assert_array_equal(border_lines(values, width), expected)
        np.testing.assert_array_equal(border_lines(values.T.copy(), width), expected.T)


def test_a_line_wider_than_the_image_ends_at_its_edges() -> None:
    values = np.zeros((5, 3), np.uint8)
    values[2] = 1
    assert border_lines(values, 9).all()


def test_the_width_of_lines_grows_with_the_image() -> None:
    assert [line_width(*size) for size in [(1, 1), (451, 300), (300, 800), (4000, 3000)]] == [1, 1, 2, 10]


def test_the_legend_lists_the_classes_that_occur_the_largest_first() -> None:
    values = np.zeros((300, 400), np.uint8)
    values[:50] = 1
    values[50:150] = 2
    found = drawn(values, ("background", "cat", "dog", "bird"))
    corner = found[200:, :100].reshape(-1, 3)
    places = [np.flatnonzero((corner == color).all(axis=1)) for color in class_colors("abc")]
    assert len(places[0]) and len(places[1])
    assert places[1].max() < places[0].min()
    assert not len(places[2])


def test_without_a_class_there_is_no_legend() -> None:
    assert (drawn(np.zeros((300, 400), np.uint8)) == GREY).all()


def test_a_name_with_line_breaks_takes_one_line_of_the_legend() -> None:
    values = np.zeros((300, 400), np.uint8)
    values[:50], values[50:150] = 1, 2
    broken = drawn(values, ("background", "cat\nor\tlynx", "dog"))
    np.testing.assert_array_equal(broken, drawn(values, ("background", "cat or lynx", "dog")))


def test_a_legend_that_is_too_long_lists_the_largest_classes() -> None:
    names = tuple(f"class {number}" for number in range(60))
    values = np.repeat(np.arange(60, dtype=np.uint8), 5)[:, np.newaxis].repeat(200, axis=1)
    values[:9] = 59
    found = drawn(values, names)
    panel = found[200:, :60].reshape(-1, 3)
    assert (panel == class_colors(names)[59]).all(axis=1).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (12, 12)])
def test_a_tiny_image_has_no_legend(size: tuple[int, int]) -> None:
    found = drawn(np.ones(size, np.uint8))
    assert np.abs(found - (np.array(GREY) + COLORS[1]) / 2).max() <= 1


def test_an_image_of_one_very_long_column_has_no_legend() -> None:
    line = Image.new("RGB", (1, 3_000_000), GREY)
    overlay = draw_mask(line, np.ones((3_000_000, 1), np.uint8), NAMES, COLORS)
    assert len(overlay.getcolors() or ()) == 1


def test_classes_are_drawn_in_colour_over_a_grey_image() -> None:
    overlay = draw_mask(Image.new("L", (4, 3), 100), np.ones((3, 4), np.uint8), NAMES, COLORS)
    assert overlay.mode == "RGB"
    assert np.ptp(np.array(overlay)[0, 0].astype(int)) > 50


def test_a_mask_of_another_size_is_rejected() -> None:
    with pytest.raises(ValueError):
        draw_mask(Image.new("RGB", (4, 3)), np.ones((4, 3), np.uint8), NAMES, COLORS)


def test_drawing_twelve_megapixels_takes_a_few_bytes_a_pixel() -> None:
    values = np.zeros((3000, 4000), np.uint8)
    values[1000:2000, 1000:3000] = 1
    image = Image.new("RGB", (4000, 3000), GREY)
    tracemalloc.start()
    try:
        overlay = draw_mask(image, values, NAMES, COLORS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The memory of Pillow is not traced: two images of four bytes a pixel, and three masks of one.
    assert peak <= 5 * values.size
    assert overlay.getpixel((2000, 1005)) == COLORS[1]
