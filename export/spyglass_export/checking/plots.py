"""Plots of the report, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from spyglass_contract.heatmaps.overlay import draw_overlay, map_to_size
from spyglass_contract.images.decode import from_array
from spyglass_contract.images.header import Limits
from spyglass_export.checking.check import CENTRE, CHANCE, HEATMAP, CheckedImage
from spyglass_export.checking.curves import CURVES
from spyglass_export.checking.summary import Checked, mean_of

_COLORS = {HEATMAP: "tab:red", CHANCE: "tab:gray", CENTRE: "tab:blue"}
_SHOWN = 6
_GAP = 4


def draw_curves(checked: Checked, path: Path) -> None:
    """Draw the mean deletion and insertion curves of each map, and the curves of each image's heatmap."""
    figure = _figure(10, 4)
    for place, curve in enumerate(CURVES, 1):
        axes = figure.add_subplot(1, 2, place)
        for image in checked.images:
            _line(axes, [getattr(image.curves[HEATMAP], curve)], color=_COLORS[HEATMAP], alpha=0.15)
        for by, color in _COLORS.items():
            lines = [getattr(image.curves[by], curve) for image in checked.images]
            _line(axes, lines, color=color, label=f"{by}, area {checked.mean_auc(curve, by):.3f}")
        axes.set(title=curve, xlabel=f"pixels {_DONE[curve]}", ylabel="probability", ylim=(0, 1))
        axes.legend()
    figure.savefig(path)


def draw_randomisation(checked: Checked, path: Path) -> None:
    """Draw the mean similarity of the heatmaps against the number of randomised layers."""
    figure = _figure(6, 4)
    axes = figure.add_subplot()
    layers = [0, *(stage.layers for stage in checked.stages)]
    correlations = [1.0, *(mean_of(stage.rank_correlations) for stage in checked.stages)]
    similarities = [1.0, *(mean_of(stage.structural_similarities) for stage in checked.stages)]
    for label, values in (("rank correlation", correlations), ("SSIM", similarities)):
        drawn = [np.nan if value is None else value for value in values]
        axes.plot(range(len(layers)), drawn, marker="o", label=label)
    axes.axhline(0, color="lightgray", zorder=0)
    axes.set_xticks(range(len(layers)), map(str, layers))
    axes.set(xlabel="layers randomised, from the last", ylabel="similarity to the heatmap", ylim=(-1, 1.05))
    axes.legend()
    figure.savefig(path)


def draw_maps(checked: Checked, path: Path) -> None:
    """Draw up to six images: the network's input, the heatmap, and the heatmap after each stage."""
    rows = [
        [_image(each), _overlay(each, each.heatmap)]
        + [_overlay(each, stage.maps[number]) for stage in checked.stages]
        for number, each in enumerate(checked.images[:_SHOWN])
    ]
    width, height = rows[0][0].size
    across, down = width + _GAP, height + _GAP
    sheet = Image.new("RGB", (across * len(rows[0]) - _GAP, down * len(rows) - _GAP), "white")
    for row, images in enumerate(rows):
        for column, image in enumerate(images):
            sheet.paste(image, (column * across, row * down))
    sheet.save(path)


_DONE = {"deletion": "deleted", "insertion": "inserted"}


def _figure(width: float, height: float) -> Any:
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _line(axes: Any, curves: Sequence[Any], **style: Any) -> None:
    mean = np.mean(curves, axis=0)
    axes.plot(np.linspace(0, 1, len(mean)), mean, **style)


def _image(checked: CheckedImage) -> Image.Image:
    return from_array(checked.subject.pixels, Limits()).convert("RGB")


def _overlay(checked: CheckedImage, values: Any) -> Image.Image:
    image = _image(checked)
    finite = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    return draw_overlay(image, map_to_size(finite, *image.size))
