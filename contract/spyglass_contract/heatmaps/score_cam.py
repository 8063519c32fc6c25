"""The arithmetic of Score-CAM (Wang et al. 2020): masks from channels, and channels weighed by their masks.

    H_k = (up(A_k) - min) / (max - min)        each channel of the feature map, as a mask of the input
    w   = softmax over k of S(image · H_k)   with S the class's score
    map = relu(Σ_k w_k · A_k) / max(its maximum, 1e-12)

The paper takes the softmax of S(image · H_k) - S(baseline), which is the same: what is subtracted from
every score falls out of a softmax. Images are masked as pixels, so what is masked away turns black; a
network that subtracts a mean sees a number below zero there, not its own zero. A channel that is flat
shows no place and makes no mask; it has no weight.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.overlay import map_to_size


def varying_channels(features: NDArray[np.float32], limit: int) -> NDArray[np.int64]:
    """The channels of float32 [channels, height, width] that differ from place to place, by their index.

    Where there are more than `limit`, those with the largest sum of squares; 0: all.
    """
    planes = features.reshape(len(features), -1)
    (telling,) = np.nonzero(planes.max(axis=1) > planes.min(axis=1))
    if limit and len(telling) > limit:
        energy = np.square(planes[telling], dtype=np.float64).sum(axis=1)
        telling = np.sort(telling[np.argsort(-energy, kind="stable")[:limit]])
    return telling


def masked(pixels: NDArray[np.uint8], plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [height, width, channels] times a channel of the feature map brought to their size and [0, 1].

    The channel is interpolated bilinearly, and the products are rounded.
    """
    height, width, _ = pixels.shape
    large = map_to_size(np.ascontiguousarray(plane), width, height)
    lowest, highest = large.min(), large.max()
    mask = (large - lowest) / (highest - lowest)
    rounded: NDArray[np.uint8] = np.rint(pixels * mask[:, :, np.newaxis]).astype(np.uint8)
    return rounded


def weighted_map(features: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The heatmap, float32 [height, width] in [0, 1], of channels and the score that each mask got.

    `features` are float32 [channels, height, width], `scores` float32 [channels]; no channels: all zeros.
    """
    if not len(features):
        return np.zeros(features.shape[1:], np.float32)
    exponentials = np.exp(scores - scores.max(), dtype=np.float64)
    weights = exponentials / exponentials.sum()
    positive = np.maximum(np.einsum("k,khw->hw", weights, features), 0)
    scaled: NDArray[np.float32] = (positive / max(positive.max(), 1e-12)).astype(np.float32)
    return scaled
