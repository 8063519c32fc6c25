"""The predictions of a network on the test part, counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.model.outputs import class_probabilities
from spyglass_training.datasets.dataset import Split

# The loss raises smaller probabilities of the true class to this one, as in Keras.
_SMALLEST = 1e-7


@dataclass(frozen=True)
class Evaluation:
    """Predictions for every test image, or, in segmentation, for every pixel of them."""

    # int64 [classes, classes]: the number of images or pixels with the row's class as true and the column's
    # class as predicted.
    confusion: NDArray[np.int64]
    # Predicted class: uint8 [count, height, width], or int64 [count].
    predicted: NDArray[Any]
    # float32 [count], of the predicted and of the true class; in segmentation means over the pixels.
    predicted_probability: NDArray[np.float32]
    true_probability: NDArray[np.float32]
    metrics: dict[str, float]

    @property
    def recall(self) -> NDArray[np.float64]:
        """[classes]: the fraction of the class that is predicted correctly; NaN if it has no images."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> NDArray[np.float64]:
        """[classes]: the fraction of predictions of the class that is correct; NaN if there are none."""
        return _ratio(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def intersection_over_union(self) -> NDArray[np.float64]:
        """[classes]: correct predictions divided by all images or predictions of the class; NaN for 0/0."""
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - np.diag(self.confusion)
        return _ratio(np.diag(self.confusion), union)


def evaluate(model: keras.Model, test: Split, class_names: Sequence[str], batch_size: int) -> Evaluation:
    """Run `model` on every image of `test`, batch by batch."""
    batches = [
        _predict(model, test.pixels[start : start + batch_size], test.labels[start : start + batch_size])
        for start in range(0, len(test), batch_size)
    ]
    predicted, best, true, losses = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    confusion = _count(test.labels, predicted, len(class_names))
    metrics = {
        "test_loss": float(losses.mean(dtype=np.float64)),
        "test_accuracy": float(np.trace(confusion) / confusion.sum()),
    }
    evaluation = Evaluation(confusion, predicted, best, true, metrics)
    if predicted.ndim > 1:
        overlaps = evaluation.intersection_over_union
        metrics["test_mean_iou"] = float(np.nanmean(overlaps))
        metrics.update({f"test_iou_{name}": float(o) for name, o in zip(class_names, overlaps, strict=True)})
    return evaluation


def _predict(model: keras.Model, pixels: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return for each image: predicted class, its probability, the true class's probability, and the loss."""
    probabilities = class_probabilities(keras.ops.convert_to_numpy(model.predict_on_batch(pixels)))
    predicted = probabilities.argmax(axis=-1)
    best = probabilities.max(axis=-1)
    true = np.take_along_axis(probabilities, labels[..., np.newaxis].astype(np.int64), axis=-1)[..., 0]
    losses = -np.log(np.maximum(true, _SMALLEST))
    if predicted.ndim == 1:
        return predicted, best, true, losses
    means = (each.mean(axis=(1, 2)) for each in (best, true, losses))
    return predicted.astype(np.uint8), *means


def _count(labels: NDArray[Any], predicted: NDArray[Any], classes: int) -> NDArray[np.int64]:
    pairs = labels.astype(np.int64).ravel() * classes + predicted.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _ratio(part: NDArray[np.int64], of: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, of, out=np.full(len(of), np.nan), where=of > 0)
