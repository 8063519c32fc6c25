"""The tables and the plot of a comparison."""

from __future__ import annotations

from pathlib import Path

from comparing.plot import save_comparison
from comparing.results import LIMITS, Results, Row
from measuring.docs_section import IMAGES, replace_section
from measuring.machine import machine_line
from measuring.markdown import table

# The same network may round differently in a batch; a reduced precision differs by more.
_EQUAL = 1e-5
_SECTION, _PLOT = "serving", "serving.svg"
_HEADINGS = (
    "server",
    "CPU a request, ms",
    "of plain",
    "requests/s",
    "of in process",
    "p50, ms",
    "p99, ms",
    "client CPU, ms",
)


def write_report(results: Results, *, docs: bool, plot: Path | None) -> None:
    """Print the tables; write them and the plot into docs/performance.md if `docs`."""
    text = report(results)
    print(text)
    if plot is not None:
        save_comparison(results, plot)
    if docs:
        save_comparison(results, IMAGES / _PLOT)
        image = f"![latency over throughput of all servers](images/{_PLOT})"
        replace_section(_SECTION, f"{text}\n\n{image}")


def report(results: Results) -> str:
    """Return a Markdown table for each load and number of callers, with the conditions before them."""
    options = results.options
    lines = [
        f"{machine_line(results.machine)}. Medians of {options['rounds']} interleaved rounds of "
        f"{options['seconds']:g} s; {options['processes']} client processes on the same cores.",
    ]
    versions = {name: found[name] for found in results.versions.values() for name in found}
    if others := {name: number for name, number in versions.items() if name not in _shared(results)}:
        lines.append("Other servers: " + ", ".join(f"{name} {each}" for name, each in others.items()) + ".")
    for load in results.loads:
        for concurrency in results.concurrencies:
            rows = [_cells(row) for row in results.rows(load, concurrency)]
            callers = "1 caller" if concurrency == 1 else f"{concurrency} callers"
            lines.append(f"\n**{load}, {callers}**\n\n{table(_HEADINGS, rows)}")
    lines += ["", *_differences(results), *_failures(results)]
    return "\n".join(lines).rstrip()


def _cells(row: Row) -> list[str]:
    return [
        row.server,
        f"{row.cpu_ms:.3g} ({row.lowest_cpu_ms:.3g} to {row.highest_cpu_ms:.3g})",
        "" if row.of_plain is None else f"{row.of_plain:.2f}",
        f"{row.per_second:,.0f}" if row.per_second >= 100 else f"{row.per_second:.1f}",
        "" if row.of_limit is None else f"{row.of_limit:.2f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        "" if row.server in LIMITS else f"{row.client_cpu_ms:.2f}",
    ]


def _differences(results: Results) -> list[str]:
    """Say how far the scores are from those of the model in this process; a reduced precision differs."""
    found = [each for each in results.differences if each[2] is not None]
    lines = []
    if equal := [difference for _, _, difference in found if difference <= _EQUAL]:
        lines.append(f"The largest difference of a score between servers was {max(equal):.1g}.")
    for load, server, difference in found:
        if difference > _EQUAL:
            lines.append(f"{server} differs by {difference:.2g} in a score of {load}.")
    streams = {name for name in results.versions if name.endswith("streamed")}
    for load, server, difference in results.differences:
        if difference is None and server not in streams:
            lines.append(f"**{server} named other classes than the model in this process for {load}.**")
    return lines


def _failures(results: Results) -> list[str]:
    lines = []
    for load in results.loads:
        for concurrency in results.concurrencies:
            for row in results.rows(load, concurrency):
                if row.failed:
                    lines.append(
                        f"**{row.failed} calls failed: {row.server}, {load}, {concurrency} callers.**"
                    )
    return lines


def _shared(results: Results) -> set[str]:
    return set(results.machine["versions"])
