"""Results as Markdown: a summary, and a row for each architecture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from zoo.architectures import ARCHITECTURES, Architecture
from zoo.lines import Line

_RESULTS = ("exact", "within noise", "differs", "unmatched", "refused", "crashed")
_RIGHT = ("exact", "within noise")
_EXPORTERS = ("legacy", "dynamo")


def summary(lines: Sequence[Line]) -> str:
    """Return a table of the number of exported files with each result, by kind of network and exporter.

    Files that ONNX Runtime does not run, or that the exporter does not write, do not count.
    """
    kinds = {each.key: each.kind for each in ARCHITECTURES}
    rows = [f"| networks | exporter | files | {' | '.join(_RESULTS)} | right | median cost |"]
    rows.append("|---" * (len(_RESULTS) + 5) + "|")
    for kind in ("convolutional", "transformer"):
        for exporter in _EXPORTERS:
            chosen = [line for line in lines if line["exporter"] == exporter and _ran(line)]
            chosen = [line for line in chosen if kinds.get(line["key"]) == kind]
            if chosen:
                rows.append(f"| {kind} | {exporter} | {_counted(chosen)} |")
    return "\n".join(rows)


def _ran(line: Line) -> bool:
    return bool(line["result"] != "not run")


def _counted(lines: Sequence[Line]) -> str:
    counts = Counter(line["result"] for line in lines)
    right = sum(counts[result] for result in _RIGHT) / len(lines)
    costs = [_cost(line) for line in lines if line.get("plain_ms")]
    cells = [len(lines), *(counts[result] for result in _RESULTS), f"{right:.0%}"]
    cells.append(f"{median(costs):.3f}" if costs else "")
    return " | ".join(map(str, cells))


def _cost(line: Line) -> float:
    return float(line["explained_ms"] / line["plain_ms"])


def table(lines: Sequence[Line]) -> str:
    """Return a table with a row for each architecture, in the order of `ARCHITECTURES`.

    If the exporters agree, a cell holds one entry, with the larger difference and the larger cost; otherwise
    those of legacy and dynamo. A star marks a network narrower or less deep than the published one.
    """
    found = {(line["key"], line["exporter"]): line for line in lines}
    rows = ["| family | network | result | map | layer explained | cost |", "|---|---|---|---|---|---|"]
    for each in ARCHITECTURES:
        both = [found[each.key, exporter] for exporter in _EXPORTERS if (each.key, exporter) in found]
        if both:
            rows.append(_row(each, both))
    return "\n".join(rows)


def _row(architecture: Architecture, both: Sequence[Line]) -> str:
    measured = [line for line in both if line.get("plain_ms")]
    mark = "\\*" if architecture.arguments else ""
    cells = [
        architecture.family,
        f"`{architecture.key}`{mark}",
        _result(both),
        "; ".join(dict.fromkeys("{} × {}".format(*line["size"]) for line in measured)),
        "; ".join(dict.fromkeys(f"`{_short(line['layer'])}`" for line in measured)),
        f"{max(map(_cost, measured)):.2f}" if measured else "",
    ]
    return f"| {' | '.join(cells)} |"


def _result(both: Sequence[Line]) -> str:
    results = [line["result"] for line in both]
    if len(set(results)) > 1:
        return "; ".join(results)
    differences = [line["difference"] for line in both if line.get("difference") is not None]
    return f"{results[0]}, {max(differences):.0e}" if differences else results[0]


def _short(layer: str) -> str:
    """A name without the ending that torch's tracing exporter adds to that of a module."""
    return layer.removeprefix("/").removesuffix("_output_0").replace("_output_0 + /", " + ")
