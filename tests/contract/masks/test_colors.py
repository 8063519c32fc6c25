"""The colours of classes, and how well readers who are colour-blind can tell them apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_contract.masks.colors import BLACK, TABLE, WHITE, Color, class_colors, hex_color

# Viénot, Brettel and Mollon, Digital video colourmaps for checking the legibility of displays by dichromats,
# Color Research and Application 24 (1999): from linear RGB to the cones, and the cones that dichromats have.
CONES = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
PROTANOPIA = np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]])
DEUTERANOPIA = np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]])
VISIONS = {"normal vision": np.eye(3), "protanopia": PROTANOPIA, "deuteranopia": DEUTERANOPIA}

# IEC 61966-2-1, sRGB to CIE XYZ.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def lab(colors: tuple[Color, ...], vision: str) -> NDArray[np.float64]:
    """CIE 1976 L*a*b* of colours as a reader sees them, float64 [colours, 3]."""
    encoded = np.array(colors) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = (linear @ (np.linalg.inv(CONES) @ VISIONS[vision] @ CONES).T).clip(0, 1)
    ratios = seen @ XYZ.T / XYZ.sum(axis=1)
    x, y, z = np.where(ratios > (6 / 29) ** 3, np.cbrt(ratios), ratios * (29 / 6) ** 2 / 3 + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def least_distance(colors: tuple[Color, ...], vision: str) -> float:
    places = lab(colors, vision)
    distances = np.linalg.norm(places[:, np.newaxis] - places, axis=2)
    return float(distances[~np.eye(len(colors), dtype=bool)].min())


@pytest.mark.parametrize(
    ("count", "vision", "distance"),
    [
        (13, "normal vision", 18),
        (13, "protanopia", 17),
        (13, "deuteranopia", 17),
        (23, "normal vision", 9),
        (23, "protanopia", 8),
        (23, "deuteranopia", 7.9),
    ],
)
def test_readers_can_tell_the_colours_of_the_table_black_and_white_apart(
    count: int, vision: str, distance: float
) -> None:
    assert len(TABLE) == 23
    assert least_distance((BLACK, WHITE, *TABLE[:count]), vision) >= distance


def test_the_simulation_confuses_the_red_and_the_green_that_dichromats_confuse() -> None:
    red, green = (180, 60, 40), (85, 100, 40)
    assert least_distance((red, green), "normal vision") > 60
    assert least_distance((red, green), "deuteranopia") < 20


def test_the_first_colours_are_those_of_okabe_and_ito() -> None:
    assert [hex_color(color) for color in class_colors("abcdefg")] == [
        "#e69f00",
        "#56b4e9",
        "#009e73",
        "#f0e442",
        "#0072b2",
        "#d55e00",
        "#cc79a7",
    ]


def test_the_background_is_black_and_takes_no_colour_of_the_table() -> None:
    assert class_colors(["cat", "background", "dog"]) == (TABLE[0], BLACK, TABLE[1])


def test_each_of_255_classes_has_a_colour_of_its_own() -> None:
    colors = class_colors([f"class {number}" for number in range(255)])
    assert len(set(colors)) == 255
    assert BLACK not in colors
    assert all(0 <= level <= 255 for color in colors for level in color)


def test_consecutive_classes_have_clearly_different_colours() -> None:
    places = lab(class_colors([f"class {number}" for number in range(255)]), "normal vision")
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).min() > 14


def test_a_colour_does_not_depend_on_the_number_of_classes() -> None:
    names = [str(number) for number in range(100)]
    assert class_colors(names)[:30] == class_colors(names[:30])


def test_more_than_255_classes_are_rejected() -> None:
    with pytest.raises(ValueError, match="255 classes, not 256"):
        class_colors([str(number) for number in range(256)])


def test_a_colour_in_hexadecimal_has_six_digits() -> None:
    assert hex_color((0, 158, 9)) == "#009e09"
