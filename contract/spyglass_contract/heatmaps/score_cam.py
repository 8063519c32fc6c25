"""The arithmetic of Score-CAM (Wang et al. 2020): masks from channels, and weights from the masks' scores.

    H_k = (up(A_k) - min) / (max - min)        each channel of the feature map, as a mask of the input
    w   = softmax over k of S(image · H_k)   with S the class's score
    map = relu(Σ_k w_k · A_k) / max(its maximum, 1e-12)

The paper takes the softmax of S(image · H_k) - S(baseline), which is the same: a constant that is subtracted
from every score cancels out in a softmax. Masks are multiplied with pixels, so masked pixels turn black; in a
network that subtracts a mean they are negative and not zero. A constant channel makes no mask and has no
weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.overlay import map_to_size


def varying_channels(features: NDArray[np.float32], limit: int) -> NDArray[np.int64]:
    """Return the indices of the channels of float32 [channels, height, width] that are not constant.

    If there are more than `limit`, returns those with the largest sum of squares; 0: no limit.
    """
    planes = features.reshape(len(features), -1)
    (varying,) = np.nonzero(planes.max(axis=1) > planes.min(axis=1))
    if limit and len(varying) > limit:
        energy = np.square(planes[varying], dtype=np.float64).sum(axis=1)
        varying = np.sort(varying[np.argsort(-energy, kind="stable")[:limit]])
    return varying


def masked(pixels: NDArray[np.uint8], plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return pixels, uint8 [height, width, channels], times one channel of the feature map as a mask.

    `plane` is float32 [rows, columns] and not constant. It is interpolated bilinearly to the size of the
    pixels and scaled to [0, 1]; the products are rounded.
    """
    height, width, _ = pixels.shape
    large = map_to_size(np.ascontiguousarray(plane), width, height)
    lowest, highest = large.min(), large.max()
    mask = (large - lowest) / (highest - lowest)
    rounded: NDArray[np.uint8] = np.rint(pixels * mask[:, :, np.newaxis]).astype(np.uint8)
    return rounded


def weighted_map(features: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the heatmap, float32 [height, width] in [0, 1].

    `features` are float32 [channels, height, width], `scores` are the class's scores for the image under each
    channel's mask, float32 [channels]. Without channels the heatmap is 0 everywhere.
    """
    if not len(features):
        return np.zeros(features.shape[1:], np.float32)
    exponentials = np.exp(scores - scores.max(), dtype=np.float64)
    weights = exponentials / exponentials.sum()
    positive = np.maximum(np.einsum("k,khw->hw", weights, features), 0)
    scaled: NDArray[np.float32] = (positive / max(positive.max(), 1e-12)).astype(np.float32)
    return scaled
