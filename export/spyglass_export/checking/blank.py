"""Images without information: the last image of deletion, and the first image of insertion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

# RISE blurs images of 224 pixels with a Gaussian of 5 pixels. Other sizes use the same fraction.
_BLUR = 5 / 224


def mean_color(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image of the mean colour of `pixels`, uint8 [height, width, channels], rounded."""
    color = np.rint(pixels.mean(axis=(0, 1))).astype(np.uint8)
    return np.broadcast_to(color, pixels.shape)


def blurred(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image blurred with a Gaussian whose σ is 5/224 of its shorter side."""
    radius = _BLUR * min(pixels.shape[:2])
    planes = [
        np.asarray(Image.fromarray(plane).filter(ImageFilter.GaussianBlur(radius)))
        for plane in np.moveaxis(pixels, -1, 0)
    ]
    return np.stack(planes, axis=-1)
