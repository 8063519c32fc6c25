"""Two networks on the same images: how often their classes agree, and the metric of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.masks.placement import VOID


@dataclass
class Comparison:
    """Counts over the images that were added; `classes` is the number of classes.

    An output is float32 [batch, classes], or [batch, height, width, classes] of a segmentation network. The
    metric is the accuracy, or the mean IoU of a segmentation network. The IoU of a class is the number of
    pixels that are labelled and predicted so, divided by those that are labelled or predicted so.
    """

    classes: int
    images: int = 0
    # Images, or pixels of a segmentation network, and those of them whose first class is the same.
    compared: int = 0
    agreed: int = 0
    finite: bool = True
    metric: str = ""
    # int64 [classes, classes]: true class × predicted class, of the original and of the reduced network.
    _original: NDArray[np.int64] = field(init=False)
    _reduced: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._original = np.zeros((self.classes, self.classes), np.int64)
        self._reduced = self._original.copy()

    def add(
        self,
        original: NDArray[np.integer[Any]],
        reduced: NDArray[np.float32],
        labels: NDArray[Any] | None = None,
    ) -> None:
        """Add the classes of the original network for a batch, the output of the reduced one, and the labels.

        Classes and labels are whole numbers, [batch] or [batch, height, width]. Labels of another size than
        the output's are not counted: then only the agreement is known.
        """
        self.images += len(original)
        self.finite = self.finite and bool(np.isfinite(reduced).all())
        predicted = reduced.argmax(axis=-1)
        self.compared += original.size
        self.agreed += int((original == predicted).sum())
        if labels is None or labels.shape != original.shape:
            return
        self.metric = "mean IoU" if original.ndim > 1 else "accuracy"
        known = labels != VOID if original.ndim > 1 else np.ones(labels.shape, bool)
        for confusion, found in ((self._original, original), (self._reduced, predicted)):
            pairs = labels[known].astype(np.int64) * self.classes + found[known]
            confusion += np.bincount(pairs, minlength=self.classes**2).reshape(confusion.shape)

    @property
    def agreement(self) -> float:
        """The fraction, 0 to 1, of the images or pixels whose first class is the same."""
        return self.agreed / self.compared if self.compared else 0.0

    def agreement_text(self) -> str:
        """Return the agreement and the number of images as the subject of a sentence."""
        pixels = "the pixels of " if self.compared > self.images else ""
        return f"{self.agreement:.2%} of {pixels}{self.images} images"

    @property
    def original_metric(self) -> float | None:
        """The metric of the original network, 0 to 1; None without labels."""
        return self._metric(self._original)

    @property
    def reduced_metric(self) -> float | None:
        """The metric of the reduced network, 0 to 1; None without labels."""
        return self._metric(self._reduced)

    @property
    def metric_loss(self) -> float | None:
        """The metric of the original network minus that of the reduced one; None without labels."""
        original, reduced = self.original_metric, self.reduced_metric
        return None if original is None or reduced is None else original - reduced

    def _metric(self, confusion: NDArray[np.int64]) -> float | None:
        if not confusion.sum():
            return None
        right = np.diag(confusion)
        if self.metric == "accuracy":
            return float(right.sum() / confusion.sum())
        # Of a class that occurs neither in the labels nor in the predictions, the IoU is 0/0.
        union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
        return float((right[union > 0] / union[union > 0]).mean())
