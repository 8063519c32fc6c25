"""Latency over throughput of all servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comparing.results import LIMIT, LIMITS, Results, Row
from measuring.plots import figure, save


def save_comparison(results: Results, path: Path) -> None:
    """Write a plot: a column a load, p50 above and p99 below, a point for each number of callers."""
    loads = results.loads
    drawing, panels = figure(2, len(loads), width=7.0 * len(loads), height=9.0)
    for column, load in enumerate(loads):
        _draw(panels[0, column], results, load, "p50")
        _draw(panels[1, column], results, load, "p99")
    panels[0, 0].legend(fontsize=7)
    save(drawing, path)


def _draw(panel: Any, results: Results, load: str, percentile: str) -> None:
    colors: dict[str, str] = {}
    for name in results.versions:
        rows = _rows(results, load, name)
        if not rows or name in LIMITS:
            continue
        # A server has one colour; its ways to serve differ in line and mark.
        server, _, way = name.partition(", ")
        color = colors.setdefault(server, f"C{len(colors)}")
        line, mark = {"": ("-", "o"), "batches": ("--", "s"), "streamed": ("-.", "^")}.get(way, (":", "v"))
        latencies = [row.p50_ms if percentile == "p50" else row.p99_ms for row in rows]
        rates = [row.per_second for row in rows]
        panel.plot(rates, latencies, color=color, linestyle=line, marker=mark, markersize=4, label=name)
    if limit := _rows(results, load, LIMIT):
        most = max(row.per_second for row in limit)
        panel.axvline(most, color="grey", linestyle="--", label=f"most {LIMIT}")
    callers = ", ".join(map(str, results.concurrencies))
    panel.set(
        title=f"{load}, {callers} callers",
        xlabel="requests a second",
        ylabel=f"{percentile} of the latency, ms",
        xscale="log",
        yscale="log",
    )
    panel.grid(which="both", alpha=0.3)


def _rows(results: Results, load: str, server: str) -> list[Row]:
    """Return the row of a server for each number of callers."""
    numbers = results.concurrencies
    return [row for number in numbers for row in results.rows(load, number) if row.server == server]
