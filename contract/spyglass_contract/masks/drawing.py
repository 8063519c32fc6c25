"""Masks drawn over images, for people: the same code draws on the server and in its clients.

A class is drawn over the image in its colour at `OPACITY`. Along its borders with other classes the colour is
opaque. The background and void pixels are not drawn. A legend names the classes.

Masks and opacities are bytes and Pillow does the arithmetic: drawing takes at most twelve bytes a pixel in
addition to the image and the result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from spyglass_contract.masks.colors import BACKGROUND, BLACK, WHITE, Color
from spyglass_contract.masks.placement import VOID

OPACITY = 0.5

# The width of a line, as a fraction of the image's longer side.
_LINE = 1 / 400

# The size of the legend's letters, as a fraction of the image's longer side, and the least one in pixels.
_LETTERS = 1 / 45
_SMALLEST_LETTERS = 10
_LEGEND_OPACITY = 0.85


def draw_mask(
    image: Image.Image, mask: NDArray[np.uint8], class_names: Sequence[str], colors: Sequence[Color]
) -> Image.Image:
    """Return the image, in RGB, with the classes of a mask drawn over it.

    `mask` is uint8 [height, width] of the image's size: the index of a class, or VOID. The legend is in the
    lower left corner. It lists the classes that occur, the largest first, and leaves out those that do not
    fit. Raises ValueError if mask and image differ in size.
    """
    values = Image.fromarray(mask)
    if values.size != image.size:
        raise ValueError(f"the mask must have the image's size {image.size}, not {values.size}")
    drawn_classes = [255 if name != BACKGROUND else 0 for name in class_names]
    drawn_classes += [0] * (256 - len(drawn_classes))
    opacities = values.point([round(level * OPACITY) for level in drawn_classes])
    lines = border_lines(mask, line_width(*image.size))
    # On the side of the background a border has no line.
    opacities.paste(values.point(drawn_classes), mask=Image.fromarray(lines))
    counts = values.histogram()
    values.putpalette([level for color in colors for level in color])
    drawn = Image.composite(values.convert("RGB"), image.convert("RGB"), opacities)
    shown = sorted(
        (index for index in range(len(class_names)) if drawn_classes[index] and counts[index]),
        key=lambda index: -counts[index],
    )
    _add_legend(drawn, [(class_names[index], colors[index]) for index in shown])
    return drawn


def line_width(width: int, height: int) -> int:
    """Return the width of a line on either side of a border, in pixels, in an image of this size."""
    return max(1, round(max(width, height) * _LINE))


def border_lines(mask: NDArray[np.uint8], width: int) -> NDArray[np.bool_]:
    """Return the pixels within `width` pixels of a border between two classes, bool [height, width].

    The edge of a void part is not a border.
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
    """Also mark the `reach` rows after each mark, in as many steps as `reach` has binary digits."""
    done = 1
    while done <= reach:
        step = min(done, reach + 1 - done)
        marks[step:] |= marks[:-step]
        done += step


def _add_legend(image: Image.Image, entries: Sequence[tuple[str, Color]]) -> None:
    """Draw the legend of class names and colours into the lower left corner of an RGB image.

    Leaves out the last entries if there are too many, and all entries if the names are too wide.
    """
    letters = max(_SMALLEST_LETTERS, round(max(image.size) * _LETTERS))
    row, margin = round(letters * 1.5), letters // 2
    shown = entries[: max(0, image.height - 3 * margin) // row]
    # A name takes one line, even if it has line breaks.
    fitting = [(" ".join(name.split()), color) for name, color in shown]
    # If the swatch alone is too wide the letters may be larger than a font can be.
    if not fitting or letters + 5 * margin > image.width:
        return
    font = ImageFont.load_default(letters)
    widest = max(font.getlength(name) for name, _ in fitting)
    # Swatch and name, and a margin before, between and after them.
    width, height = round(widest) + letters + 3 * margin, len(fitting) * row + margin
    if width + 2 * margin > image.width:
        return
    left, top = margin, image.height - margin - height
    covered = image.crop((left, top, left + width, top + height))
    panel = Image.blend(covered, Image.new("RGB", covered.size, WHITE), _LEGEND_OPACITY)
    draw = ImageDraw.Draw(panel)
    for number, (name, color) in enumerate(fitting):
        middle = margin // 2 + number * row + row // 2
        swatch = (margin, middle - letters // 2, margin + letters, middle + letters // 2)
        draw.rectangle(swatch, fill=color)
        draw.text((2 * margin + letters, middle), name, BLACK, font, anchor="lm")
    image.paste(panel, (left, top))
