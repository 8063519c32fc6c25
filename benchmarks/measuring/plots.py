"""Plots of the benchmarks, as small files that can be committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def figure(rows: int, columns: int, *, width: float, height: float) -> tuple[Any, Any]:
    """Return a matplotlib figure of this size in inches, and its panels, an array [rows, columns]."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=(width, height), layout="constrained", squeeze=False)


def save(drawing: Any, path: Path) -> None:
    """Write a figure in the format of the file's name, the same bytes for the same values."""
    import matplotlib
    from matplotlib import pyplot

    # Without these, an SVG holds the time and random names.
    with matplotlib.rc_context({"svg.hashsalt": "spyglass"}):
        metadata = {"Date": None} if path.suffix == ".svg" else None
        drawing.savefig(path, dpi=100, metadata=metadata)
    pyplot.close(drawing)
