"""Contact sheets: many small images in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

# Minimum and maximum of a tile's longer side, in pixels: large enough to see details, small enough for a
# sheet.
_LEAST, _MOST = 72, 180
_GAP = 4
_TITLE_HEIGHT = 30
# This font comes with matplotlib. Pillow's own has no multiplication sign.
_FONT = Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
_PAPER, _INK = (255, 255, 255), (40, 40, 40)


def draw_sheet(images: Sequence[NDArray[np.uint8]], columns: int, title: str) -> Image.Image:
    """Draw images uint8 [height, width, 3], all of one size, in rows under a title.

    Small images are enlarged by a whole number, so that their pixels are visible.
    """
    tiles = [_tile(image) for image in images]
    width, height = tiles[0].size
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    font = ImageFont.truetype(str(_FONT), 14)
    sheet_width = max(columns * (width + _GAP) + _GAP, int(font.getlength(title)) + 4 * _GAP)
    sheet = Image.new("RGB", (sheet_width, _TITLE_HEIGHT + rows * (height + _GAP)), _PAPER)
    ImageDraw.Draw(sheet).text((2 * _GAP, _TITLE_HEIGHT // 2), title, _INK, font, anchor="lm")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (_GAP + column * (width + _GAP), _TITLE_HEIGHT + row * (height + _GAP)))
    return sheet


def to_levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale values to 0 to 255: the mean to the middle, four standard deviations to the whole range.

    F. Chollet, Deep Learning with Python, second edition (2021), section 9.4: most of a map's or a filter
    image's content lies in this range. Equal values become 0.
    """
    deviation = values.std()
    if deviation < 1e-9:
        return np.zeros(values.shape, np.uint8)
    levels = (values - values.mean()) / deviation * 64 + 128
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def in_colors(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a map of 0 to 255, uint8 [height, width], in viridis colours, uint8 [height, width, 3]."""
    colored: NDArray[np.uint8] = colormaps["viridis"](levels, bytes=True)[..., :3]
    return colored


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 [height, width, 1 or 3] as uint8 [height, width, 3]."""
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG; create its folder if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def _tile(image: NDArray[np.uint8]) -> Image.Image:
    tile = Image.fromarray(np.ascontiguousarray(image))
    side = max(tile.size)
    if side > _MOST:
        ratio = _MOST / side
        size = (max(1, round(tile.width * ratio)), max(1, round(tile.height * ratio)))
        return tile.resize(size, Image.Resampling.BILINEAR)
    times = -(-_LEAST // side)
    return tile.resize((tile.width * times, tile.height * times), Image.Resampling.NEAREST)
