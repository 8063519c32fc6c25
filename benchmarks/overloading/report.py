"""The table and the plot of overloads."""

from __future__ import annotations

import math
from pathlib import Path

from measuring.markdown import table
from measuring.plots import figure, save
from overloading.outcome import Outcome


def report(outcomes: list[Outcome]) -> str:
    """Return a Markdown table of the figures, and one of the aims."""
    figures = [
        ("closed-loop capacity", lambda each: f"{each.capacity:,.0f}/s"),
        ("offered", lambda each: f"{each.offered:,.0f}/s ({each.offered / each.capacity:.1f}×)"),
        ("answered in time", lambda each: f"{each.goodput:,.0f}/s"),
        ("answers, p50 / p99", lambda each: _pair(each.answer_p50_ms, each.answer_p99_ms)),
        ("refused", lambda each: f"{each.refused:.1%}"),
        ("refusals, p50 / p99", lambda each: _pair(each.refusal_p50_ms, each.refusal_p99_ms)),
        ("refusals that say when to retry", lambda each: _share(each.refusals_with_retry)),
        (
            "health checks, p50 / p99 / max",
            lambda each: (
                f"{each.health_p50_ms:.1f} / {each.health_p99_ms:.1f} / {each.health_max_ms:.0f} ms"
                + (f", failed: {each.health_failures}" if each.health_failures else "")
            ),
        ),
        ("reasons of the first errors", lambda each: _counts(each.reasons)),
        (
            "a server that only refuses, at this rate: timed out, p99",
            lambda each: f"{each.floor_timed_out:.1%}, {each.floor_p99_ms:.0f} ms",
        ),
        ("cores that the clients used", lambda each: f"{each.client_cores:.2f}"),
        ("sent late, p99", lambda each: f"{each.sent_late_p99_ms:.1f} ms" + _limit(each)),
    ]
    headings = ["", *(each.load for each in outcomes)]
    rows = [[name, *(cell(each) for each in outcomes)] for name, cell in figures]
    aims = [
        [aims[0][0], *(f"{found}, {'met' if met else '**not met**'}" for _, found, met in aims)]
        for aims in zip(*(each.aims for each in outcomes), strict=True)
    ]
    return f"{table(headings, rows)}\n\n{table(['aim', *headings[1:]], aims)}"


def save_overloads(outcomes: list[Outcome], path: Path) -> None:
    """Write a plot: what became of the calls in each second, and the server's memory."""
    drawing, panels = figure(2, len(outcomes), width=6.0 * len(outcomes), height=6.5)
    for column, each in enumerate(outcomes):
        upper, lower = panels[:, column]
        for label, counts in zip(
            ("answered", "refused", "timed out", "other error"), zip(*each.history, strict=True), strict=True
        ):
            upper.plot(range(len(counts)), counts, label=label)
        upper.axhline(each.capacity, color="grey", linestyle="--", label="capacity")
        upper.set(title=f"{each.load}: {each.offered:,.0f} calls a second", ylabel="calls a second")
        lower.plot(*zip(*each.memory, strict=True))
        lower.set(xlabel="seconds", ylabel="resident memory, MB")
        for panel in (upper, lower):
            panel.set_ylim(bottom=0)
            panel.grid(alpha=0.3)
        upper.legend(fontsize=8)
    save(drawing, path)


def _pair(p50_ms: float, p99_ms: float) -> str:
    return "none" if math.isnan(p50_ms) else f"{p50_ms:.1f} / {p99_ms:.1f} ms"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _limit(each: Outcome) -> str:
    return ": **the clients were the limit**" if each.clients_were_the_limit else ""
