"""Similarity of two heatmaps."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

# Wang, Bovik, Sheikh and Simoncelli 2004, for values in [0, 1].
_LUMINANCE, _CONTRAST = 0.01**2, 0.03**2
_WINDOW = 7


def rank_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return Spearman's rank correlation, in [-1, 1]; equal values get the mean of their ranks.

    The result is None if one of the maps is the same everywhere, or not finite.
    """
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    x, y = (_ranks(values.ravel()) for values in (first, second))
    if not (np.ptp(x) and np.ptp(y)):
        return None
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def structural_similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float | None:
    """Return the mean SSIM of two maps of equal size, in [-1, 1], over windows of 7 × 7.

    The result is None if one of the maps is not finite.
    """
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return None
    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = _window_means(x), _window_means(y)
    variance_x = _window_means(x * x) - mean_x**2
    variance_y = _window_means(y * y) - mean_y**2
    covariance = _window_means(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _LUMINANCE) * (2 * covariance + _CONTRAST)
    scale = (mean_x**2 + mean_y**2 + _LUMINANCE) * (variance_x + variance_y + _CONTRAST)
    return float((likeness / scale).mean())


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[which]
    return ranks


def _window_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = (min(_WINDOW, size) for size in values.shape)
    rows: NDArray[np.float64] = sliding_window_view(values, height, axis=0).mean(axis=-1)
    means: NDArray[np.float64] = sliding_window_view(rows, width, axis=1).mean(axis=-1)
    return means
