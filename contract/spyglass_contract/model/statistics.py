"""Images and predictions in numbers: the same at export, from validation images, and while serving."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import Histogram
from spyglass.v1.model_pb2 import Statistics as StatisticsMessage

SCORE, CLASS, ENTROPY, BRIGHTNESS, PIXELS, FORMAT = (
    "score",
    "class",
    "entropy",
    "brightness",
    "pixels",
    "format",
)
QUANTITIES = (SCORE, CLASS, ENTROPY, BRIGHTNESS, PIXELS, FORMAT)

# The index of a format is its bin: a new one goes to the end.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "RAW")
_UNIT_BINS = 20
_BRIGHTNESS_BINS = 16
# Every fourth pixel of every fourth row: enough for a mean, and for the shares of classes.
_STEP = 4
# A probability of 0 has no logarithm.
_LEAST = 1e-12
_FEW = 32
# What an image counts in `class`: whole numbers can share it among the classes of its pixels.
_WHOLE = 1000


class Statistics:
    """Histograms of several quantities; not safe for several threads."""

    def __init__(self) -> None:
        self.images = 0
        self.counts: dict[str, Counter[int]] = {}

    def add(
        self,
        probabilities: NDArray[np.float32],
        pixels: NDArray[np.uint8],
        size: tuple[int, int] | None = None,
        image_format: str = "",
    ) -> None:
        """Count an image.

        `probabilities` are [classes], or [height, width, classes] of a segmentation model. `pixels` are the
        network's input, uint8 [height, width, channels]. `size` is that of the upright image, in pixels.
        """
        self.images += 1
        cells = probabilities[::_STEP, ::_STEP] if probabilities.ndim == 3 else probabilities
        self._count(SCORE, _unit_bin(float(cells.max(axis=-1).mean())))
        self._count(ENTROPY, _unit_bin(normalised_entropy(cells)))
        self._count_classes(cells)
        sample = pixels[::_STEP, ::_STEP]
        # Faster than `mean`, which computes in floating point.
        self._count(BRIGHTNESS, int(sample.sum()) // sample.size * _BRIGHTNESS_BINS // 256)
        if size:
            self._count(PIXELS, max(1, size[0] * size[1]).bit_length() - 1)
        if image_format in FORMATS:
            self._count(FORMAT, FORMATS.index(image_format))

    def merged(self, others: Iterable[Statistics]) -> Statistics:
        """Return the sum of these statistics and others."""
        found = Statistics()
        for each in (self, *others):
            found.images += each.images
            for quantity, counts in each.counts.items():
                found.counts.setdefault(quantity, Counter()).update(counts)
        return found

    def message(self) -> StatisticsMessage:
        """Return the message."""
        histograms = []
        for quantity in QUANTITIES:
            if filled := sorted(self.counts.get(quantity, Counter()).items()):
                bins, counts = zip(*filled, strict=True)
                histograms.append(Histogram(quantity=quantity, bins=bins, counts=counts))
        return StatisticsMessage(images=self.images, histograms=histograms)

    @classmethod
    def from_message(cls, message: StatisticsMessage) -> Statistics:
        """Return the statistics in a message; bins and counts that do not pair are left out."""
        found = cls()
        found.images = message.images
        for histogram in message.histograms:
            pairs = zip(histogram.bins, histogram.counts, strict=False)
            found.counts[histogram.quantity] = Counter(dict(pairs))
        return found

    def _count(self, quantity: str, bin_: int, times: int = 1) -> None:
        self.counts.setdefault(quantity, Counter())[bin_] += times

    def _count_classes(self, cells: NDArray[np.float32]) -> None:
        if cells.ndim == 1:
            self._count(CLASS, int(cells.argmax()), _WHOLE)
            return
        predicted = np.bincount(cells.argmax(axis=-1).ravel())
        for index in predicted.nonzero()[0]:
            share = round(_WHOLE * int(predicted[index]) / int(predicted.sum()))
            if share:
                self._count(CLASS, int(index), share)


def normalised_entropy(probabilities: NDArray[np.float32]) -> float:
    """Return the mean entropy of [..., classes], divided by that of equal probabilities: 0 to 1.

    Scores that do not sum to 1, such as independent sigmoids, are divided by their sum.
    """
    classes = probabilities.shape[-1]
    if classes < 2:
        return 0.0
    if probabilities.ndim == 1 and classes <= _FEW:
        return _entropy_of_few(probabilities.tolist())
    positive = np.maximum(probabilities, _LEAST, dtype=np.float64)
    shares = positive / positive.sum(axis=-1, keepdims=True)
    entropy = -(shares * np.log(shares)).sum(axis=-1).mean()
    return min(1.0, max(0.0, float(entropy) / math.log(classes)))


def _entropy_of_few(probabilities: list[float]) -> float:
    """Return what `normalised_entropy` does; for few classes this is several times faster than numpy."""
    positive = [max(value, _LEAST) for value in probabilities]
    total = sum(positive)
    # With shares p = v / total, the entropy is log(total) - Σ v log(v) / total.
    entropy = math.log(total) - sum(value * math.log(value) for value in positive) / total
    return min(1.0, max(0.0, entropy / math.log(len(positive))))


def _unit_bin(value: float) -> int:
    """Return the bin of a value from 0 to 1; values outside, such as logits, go to the ends."""
    return min(_UNIT_BINS - 1, max(0, int(value * _UNIT_BINS))) if math.isfinite(value) else 0
