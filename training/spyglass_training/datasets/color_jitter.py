"""Images in somewhat other colours, as another camera at another hour would have taken them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

# How far brightness, contrast and saturation go up and down.
_JITTER = 0.35
# How far hues are turned either way, in parts of the whole circle.
_HUE = 0.2


def jittered(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """An RGB image, its hue, brightness, contrast and saturation changed at random."""
    image = _turned_hue(image, random.uniform(-_HUE, _HUE))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(random.uniform(1 - _JITTER, 1 + _JITTER))
    return image


def _turned_hue(image: Image.Image, turn: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shifted = hue.point([(level + round(turn * 256)) % 256 for level in range(256)])
    return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")
