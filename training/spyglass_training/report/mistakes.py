"""Contact sheets of the test part: the worst mistakes, or images beside their masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spyglass_training.datasets.dataset import Split
from spyglass_training.report.evaluation import Evaluation

ROWS, COLUMNS = 5, 5
# Number of images on a sheet of masks.
IMAGES = 8

_INCHES = 1.7


def worst_mistakes(evaluation: Evaluation, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return up to 25 wrongly predicted images, by ascending probability of the true class."""
    wrong = np.flatnonzero(evaluation.predicted != labels)
    order = np.argsort(evaluation.true_probability[wrong], kind="stable")
    return wrong[order][: ROWS * COLUMNS]


def draw_mistakes(test: Split, evaluation: Evaluation, class_names: Sequence[str], path: Path) -> None:
    """Draw the worst mistakes into a PNG: true class → predicted class, and its probability."""
    figure = Figure(figsize=(COLUMNS * _INCHES, ROWS * (_INCHES + 0.25)), layout="constrained")
    cells = figure.subplots(ROWS, COLUMNS).ravel()
    for axes in cells:
        axes.axis("off")
    for axes, index in zip(cells, worst_mistakes(evaluation, test.labels), strict=False):
        true, predicted = (class_names[each] for each in (test.labels[index], evaluation.predicted[index]))
        _show(axes, test.pixels[index])
        axes.set_title(f"{true} → {predicted} {evaluation.predicted_probability[index]:.0%}", fontsize=7)
    figure.savefig(path, dpi=120)


def draw_masks(test: Split, evaluation: Evaluation, path: Path) -> None:
    """Draw images, true and predicted masks into a PNG, from the worst prediction to the best."""
    correct = (evaluation.predicted == test.labels).mean(axis=(1, 2))
    order = np.argsort(correct, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(IMAGES, len(order))).astype(int)]
    figure = Figure(figsize=(3 * _INCHES, len(chosen) * (_INCHES + 0.2)), layout="constrained")
    for row, index in zip(figure.subplots(len(chosen), 3, squeeze=False), chosen, strict=True):
        _show(row[0], test.pixels[index])
        _show_mask(row[1], test.labels[index])
        _show_mask(row[2], evaluation.predicted[index])
        row[2].set_title(f"{correct[index]:.1%} of pixels correct", fontsize=7)
        for axes in row:
            axes.axis("off")
    figure.savefig(path, dpi=120)


def _show(axes: Axes, pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels.squeeze(axis=-1) if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=255)


def _show_mask(axes: Axes, mask: NDArray[np.uint8]) -> None:
    """Draw a mask, one colour for each class; the eleventh class has the first one's again."""
    axes.imshow(mask % 10, cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
