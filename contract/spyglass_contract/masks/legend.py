"""The legend of a drawn mask: which colour is which class."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from spyglass_contract.masks.colors import BLACK, WHITE, Color

# The size of the letters, as a share of the image's longer side, and in pixels at least.
_LETTERS = 1 / 45
_SMALLEST_LETTERS = 10

_OPACITY = 0.85

Entry = tuple[str, Color]
"""A class by its name, and its colour."""


def add_legend(image: Image.Image, entries: Sequence[Entry]) -> None:
    """Draws the legend into the lower left corner of an RGB image, from the first entry on.

    What does not fit is left out: of many entries the last ones, and all where the names are too wide.
    """
    letters = max(_SMALLEST_LETTERS, round(max(image.size) * _LETTERS))
    row, margin = round(letters * 1.5), letters // 2
    shown = entries[: max(0, image.height - 3 * margin) // row]
    # A name has one line, whatever is in it.
    fitting = [(" ".join(name.split()), color) for name, color in shown]
    # Where the swatch alone is too wide the letters may be larger than a font can be.
    if not fitting or letters + 5 * margin > image.width:
        return
    font = ImageFont.load_default(letters)
    widest = max(font.getlength(name) for name, _ in fitting)
    # Of the swatch, the name, and the space before, between and after them.
    width, height = round(widest) + letters + 3 * margin, len(fitting) * row + margin
    if width + 2 * margin > image.width:
        return
    left, top = margin, image.height - margin - height
    covered = image.crop((left, top, left + width, top + height))
    panel = Image.blend(covered, Image.new("RGB", covered.size, WHITE), _OPACITY)
    draw = ImageDraw.Draw(panel)
    for number, (name, color) in enumerate(fitting):
        middle = margin // 2 + number * row + row // 2
        swatch = (margin, middle - letters // 2, margin + letters, middle + letters // 2)
        draw.rectangle(swatch, fill=color)
        draw.text((2 * margin + letters, middle), name, BLACK, font, anchor="lm")
    image.paste(panel, (left, top))
