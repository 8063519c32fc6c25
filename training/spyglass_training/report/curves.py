"""A drawing of loss and accuracy over the epochs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def draw_curves(epochs: Sequence[dict[str, float]], path: Path) -> None:
    """Draw the metrics of each epoch, training dashed and validation solid, into a PNG."""
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, metric in zip(axes, ("loss", "accuracy"), strict=True):
        _draw(axis, epochs, metric)
    figure.savefig(path, dpi=120)


def _draw(axes: Axes, epochs: Sequence[dict[str, float]], metric: str) -> None:
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [epoch[metric] for epoch in epochs], "o--", color="tab:grey", label="training")
    axes.plot(
        numbers, [epoch[f"val_{metric}"] for epoch in epochs], "o-", color="tab:blue", label="validation"
    )
    axes.set(xlabel="epoch", title=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
