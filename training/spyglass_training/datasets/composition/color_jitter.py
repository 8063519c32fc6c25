"""Random changes of colours, such as another camera or another light would cause."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

# Maximum change of brightness, contrast and saturation, as a fraction.
_JITTER = 0.35
# Maximum rotation of the hue in either direction, as a fraction of the circle.
_HUE = 0.2


def jittered(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return an RGB image with its hue, brightness, contrast and saturation changed at random."""
    image = _turned_hue(image, random.uniform(-_HUE, _HUE))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(random.uniform(1 - _JITTER, 1 + _JITTER))
    return image


def _turned_hue(image: Image.Image, turn: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shifted = hue.point([(level + round(turn * 256)) % 256 for level in range(256)])
    return Image.merge("HSV", (shifted, saturation, value)).convert("RGB")
