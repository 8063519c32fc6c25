"""A plot of latency over throughput."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spyglass_cli.load.results import Measured
from spyglass_contract.files import whole_file

_SHOWN = (50.0, 90.0, 99.0)


def save_plot(results: Sequence[Measured], title: str, path: Path) -> None:
    """Write a PNG: a line for each percentile, with a point for each load. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    points = sorted(results, key=lambda measured: measured.rate)
    for percent in _SHOWN:
        shown = [(each.rate, each.milliseconds(percent)) for each in points if each.record.answered.count]
        axes.plot(*zip(*shown, strict=True), marker="o", label=f"p{percent:g}")
    for each in points:
        if (top := each.milliseconds(_SHOWN[-1])) is not None:
            axes.annotate(
                str(each.load), (each.rate, top), textcoords="offset points", xytext=(4, 6), fontsize=8
            )
    axes.set(xlabel="results a second", ylabel="latency (ms)", title=title, yscale="log")
    axes.set_xlim(left=0)
    axes.grid(which="both", alpha=0.3)
    axes.legend()
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
