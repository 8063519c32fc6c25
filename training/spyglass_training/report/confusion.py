"""A drawing of the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

# A matrix of more classes gets no numbers, because they would be unreadable.
_MOST_NUMBERED = 20


def draw_confusion(confusion: NDArray[np.int64], class_names: Sequence[str], path: Path) -> None:
    """Draw counts [classes, classes], true classes downwards, as fractions of their row, into a PNG.

    Up to twenty classes get names and counts.
    """
    classes = len(class_names)
    fractions = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.55 * min(classes, _MOST_NUMBERED) + 2)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true")
    if classes <= _MOST_NUMBERED:
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right")
        axes.set_yticks(range(classes), class_names)
        for row, column in np.ndindex(classes, classes):
            color = "white" if fractions[row, column] > 0.5 else "black"
            count = f"{confusion[row, column]:,}"
            axes.text(column, row, count, ha="center", va="center", color=color, fontsize=7)
    figure.savefig(path, dpi=120)
