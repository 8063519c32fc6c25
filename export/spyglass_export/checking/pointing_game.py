"""The pointing game (Zhang et al., Top-down Neural Attention by Excitation Backprop, 2016).

An object is pasted at a known position; the hottest pixel of the heatmap should be on the object.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, the last two exclusive."""


@dataclass(frozen=True)
class Composed:
    """An image, uint8 [side, side, 3], and the box of the object in it."""

    pixels: NDArray[np.uint8]
    box: Box

    @property
    def box_share(self) -> float:
        """Fraction of the image's area in the box: the mass that an even map has there."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top) / (self.pixels.shape[0] * self.pixels.shape[1])


def compose(
    cutout: Image.Image, background: Image.Image, side: int, share: float, random: np.random.Generator
) -> Composed:
    """Paste an object, RGBA, at a random position on the largest square of a background, fully visible.

    The longer side of the object is the fraction `share` of the image's side. The box holds every pixel in
    which the object's alpha is above one half.
    """
    canvas = ImageOps.fit(background.convert("RGB"), (side, side))
    whole = cutout.convert("RGBA").crop(cutout.getchannel("A").getbbox())
    scale = share * side / max(whole.size)
    width, height = (max(round(length * scale), 1) for length in whole.size)
    object_ = whole.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (int(random.integers(0, side - length + 1)) for length in (width, height))
    canvas.paste(object_, (left, top), object_)
    solid = object_.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox()
    first, upper, last, lower = solid or (0, 0, width, height)
    return Composed(np.asarray(canvas), (left + first, top + upper, left + last, top + lower))


def mass_inside(heat: NDArray[np.float32], box: Box) -> float:
    """Return the fraction of the sum of float32 [side, side] in the box; 0 for a map of zeros."""
    left, top, right, bottom = box
    total = float(heat.sum(dtype=np.float64))
    return float(heat[top:bottom, left:right].sum(dtype=np.float64)) / total if total else 0.0


def hits(heat: NDArray[np.float32], box: Box) -> bool:
    """Return whether the hottest pixel, the first of equal ones, is in the box. A map of zeros never hits."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    left, top, right, bottom = box
    return bool(heat.any() and left <= column < right and top <= row < bottom)
