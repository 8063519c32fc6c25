"""Masks drawn over images, for people: one code for the server and its clients.

A class is laid over the image in its colour at `OPACITY`; along its borders with other classes the colour
is opaque. The background, and what the network did not look at, stays as it is. A legend names the classes.

Everything is bytes, and Pillow does the arithmetic: beside the image and the result, twelve bytes a pixel
are held at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.masks.colors import BACKGROUND, Color
from spyglass_contract.masks.legend import add_legend
from spyglass_contract.masks.placement import VOID

OPACITY = 0.5

# The width of a line, as a share of the image's longer side.
_LINE = 1 / 400


def draw_mask(
    image: Image.Image, mask: NDArray[np.uint8], class_names: Sequence[str], colors: Sequence[Color]
) -> Image.Image:
    """The image, in RGB, with the classes of a mask, uint8 [height, width] of its own size, drawn over it.

    The value of a mask is the index of a class. The legend is in the lower left corner, the largest class
    first, and holds as many as there is room for. Raises ValueError where mask and image differ in size.
    """
    values = Image.fromarray(mask)
    if values.size != image.size:
        raise ValueError(f"a mask of {values.size} pixels does not lie on an image of {image.size}")
    tinted = [255 if name != BACKGROUND else 0 for name in class_names]
    tinted += [0] * (256 - len(tinted))
    opacities = values.point([round(level * OPACITY) for level in tinted])
    lines = border_lines(mask, line_width(*image.size))
    # The other side of a border, where nothing is tinted, has no line.
    opacities.paste(values.point(tinted), mask=Image.fromarray(lines))
    counts = values.histogram()
    values.putpalette([level for color in colors for level in color])
    drawn = Image.composite(values.convert("RGB"), image.convert("RGB"), opacities)
    shown = sorted(
        (index for index in range(len(class_names)) if tinted[index] and counts[index]),
        key=lambda index: -counts[index],
    )
    add_legend(drawn, [(class_names[index], colors[index]) for index in shown])
    return drawn


def line_width(width: int, height: int) -> int:
    """How wide a line is on either side of a border, in pixels, in an image of `width` × `height` pixels."""
    return max(1, round(max(width, height) * _LINE))


def border_lines(mask: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """What lies within `width` pixels of a border between two classes, on either side: bool [height, width].

    The end of what the network looked at is not a border.
    """
    lines = np.zeros(mask.shape, np.bool_)
    for values, marks in ((mask, lines), (mask.T, lines.T)):
        before, after = values[:-1], values[1:]
        differ = before != after
        differ &= before != VOID
        differ &= after != VOID
        marks[:-1] |= differ
        marks[1:] |= differ
    for marks in (lines, lines[::-1], lines.T, lines.T[::-1]):
        _extend(marks, width - 1)
    return lines


def _extend(marks: NDArray[np.bool_], reach: int) -> None:
    """Marks the `reach` rows after each mark, too; in as many steps as `reach` has binary digits."""
    done = 1
    while done <= reach:
        step = min(done, reach + 1 - done)
        marks[step:] |= marks[:-step]
        done += step
