"""The colours of classes in masks: always the same ones, and such that the colour-blind can tell the first.

The first seven are those of Okabe and Ito, Color Universal Design (2008), without their black, which is the
background's. Each further one is the colour that lies farthest from all before it, and from black and white:
of the 9 × 9 × 9 colours of a regular grid in RGB, without the darkest and the palest, the one whose nearest
neighbour among those taken is the most distant in Oklab (Ottosson, A perceptual color space for image
processing, 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

BACKGROUND = "background"
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)

# Orange and sky blue first: they stand out most from photographs and from each other.
OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)

# A mask is uint8, and 255 says that the network did not look.
MAX_CLASSES = 255

_STEPS = 9
# Lightness in Oklab, 0 to 1: what is darker or paler can hardly be told from black or white in an overlay.
_DARKEST, _PALEST = 0.35, 0.95
_RGB_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def class_colors(class_names: Sequence[str]) -> tuple[Color, ...]:
    """One colour for each class: black for one named "background", and the others by their order.

    Raises ValueError for more than 255 classes.
    """
    if len(class_names) > MAX_CLASSES:
        raise ValueError(f"a mask has at most {MAX_CLASSES} classes, not {len(class_names)}")
    others = iter(_distinct_colors())
    return tuple(BLACK if name == BACKGROUND else next(others) for name in class_names)


def hex_color(color: Color) -> str:
    """As `#rrggbb`."""
    red, green, blue = color
    return f"#{red:02x}{green:02x}{blue:02x}"


@cache
def _distinct_colors() -> tuple[Color, ...]:
    levels = np.rint(np.linspace(0, 255, _STEPS)).astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    places = _oklab(grid)
    usable = (places[:, 0] >= _DARKEST) & (places[:, 0] <= _PALEST)
    grid, places = grid[usable], places[usable]
    taken = _oklab(np.array([BLACK, WHITE, *OKABE_ITO]))
    distances = np.linalg.norm(places[:, np.newaxis] - taken, axis=2).min(axis=1)
    colors = list(OKABE_ITO)
    while len(colors) < MAX_CLASSES:
        # Rounded, so that the last bit of a processor's arithmetic does not choose the colour.
        farthest = int(distances.round(6).argmax())
        red, green, blue = grid[farthest].tolist()
        colors.append((red, green, blue))
        distances = np.minimum(distances, np.linalg.norm(places - places[farthest], axis=1))
    return tuple(colors)


def _oklab(rgb: NDArray[np.int_]) -> NDArray[np.float64]:
    """Colours [count, 3], 0 to 255 in sRGB, as lightness and two axes of colour, float64 [count, 3]."""
    encoded = rgb / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(linear @ _RGB_TO_CONES.T)
    return np.asarray(cones @ _CONES_TO_OKLAB.T)
