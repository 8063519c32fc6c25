"""Latency over throughput of all servers."""

from __future__ import annotations

from pathlib import Path

from comparing.results import LIMIT, Results
from measuring.plots import figure, save


def save_comparison(results: Results, path: Path) -> None:
    """Write a plot: one panel a load, p50 solid and p99 dotted, a point for each number of callers."""
    drawing, panels = figure(1, len(results.loads), width=7.0 * len(results.loads), height=5.5)
    names = [name for name in results.versions if name != LIMIT]
    for panel, load in zip(panels.flat, results.loads, strict=True):
        points = {number: results.rows(load, number) for number in results.concurrencies}
        for index, name in enumerate(names):
            rows = [row for number in points for row in points[number] if row.server == name]
            if not rows:
                continue
            rates, style = [row.per_second for row in rows], {"color": f"C{index % 10}"}
            mark = "o" if index < 10 else "s"
            panel.plot(rates, [row.p50_ms for row in rows], marker=mark, label=name, **style)
            panel.plot(rates, [row.p99_ms for row in rows], marker=mark, linestyle=":", alpha=0.6, **style)
        _mark_limit(panel, results, load)
        panel.set(
            title=f"{load}, {', '.join(map(str, results.concurrencies))} callers",
            xlabel="requests a second",
            ylabel="latency, ms: p50 solid, p99 dotted",
            xscale="log",
            yscale="log",
        )
        panel.grid(which="both", alpha=0.3)
        panel.legend(fontsize=7)
    save(drawing, path)


def _mark_limit(panel: object, results: Results, load: str) -> None:
    rates = [
        row.per_second
        for number in results.concurrencies
        for row in results.rows(load, number)
        if row.server == LIMIT
    ]
    if rates:
        panel.axvline(max(rates), color="grey", linestyle="--", label=LIMIT)  # type: ignore[attr-defined]
