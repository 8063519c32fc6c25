"""Results as Markdown: a summary, and a row for each architecture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from zoo.architectures import ARCHITECTURES
from zoo.running import Line

_RESULTS = ("exact", "within noise", "differs", "unmatched", "refused", "crashed")
_RIGHT = ("exact", "within noise")


def summary(lines: Sequence[Line]) -> str:
    """Return a table of the number of exported files with each result, by kind of network and exporter."""
    kinds = {each.key: each.kind for each in ARCHITECTURES}
    rows = [f"| networks | exporter | files | {' | '.join(_RESULTS)} | right | median cost |"]
    rows.append("|---" * (len(_RESULTS) + 5) + "|")
    for kind in ("convolutional", "transformer"):
        for exporter in ("legacy", "dynamo"):
            chosen = [
                line
                for line in lines
                if kinds.get(line["key"]) == kind
                and line["exporter"] == exporter
                and line["result"] != "not run"
            ]
            if chosen:
                rows.append(f"| {kind} | {exporter} | {_counted(chosen)} |")
    return "\n".join(rows)


def _counted(lines: Sequence[Line]) -> str:
    counts = Counter(line["result"] for line in lines)
    right = sum(counts[result] for result in _RIGHT) / len(lines)
    costs = [_cost(line) for line in lines if line.get("plain_ms")]
    cells = [len(lines), *(counts[result] for result in _RESULTS), f"{right:.0%}"]
    cells.append(f"{median(costs):.3f}" if costs else "")
    return " | ".join(map(str, cells))


def _cost(line: Line) -> float:
    return line["explained_ms"] / line["plain_ms"]


def table(lines: Sequence[Line]) -> str:
    """Return a table with a row for each architecture, in the order of `ARCHITECTURES`."""
    found = {(line["key"], line["exporter"]): line for line in lines}
    rows = [
        "| family | network | legacy | dynamo | map | layer explained (legacy; dynamo) | cost |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in ARCHITECTURES:
        both = [found.get((each.key, exporter)) for exporter in ("legacy", "dynamo")]
        present = [line for line in both if line is not None]
        if not present:
            continue
        maps = dict.fromkeys("{} × {}".format(*line["size"]) for line in present if line.get("size"))
        layers = dict.fromkeys(f"`{line['layer']}`" for line in present if line.get("layer"))
        costs = [_cost(line) for line in present if line.get("plain_ms")]
        cells = [
            each.family,
            each.key,
            *map(_result, both),
            "; ".join(maps),
            "; ".join(layers),
            "; ".join(f"{cost:.2f}" for cost in costs),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _result(line: Line | None) -> str:
    if line is None:
        return ""
    result: str = line["result"]
    if line.get("difference") is not None:
        return f"{result}, {line['difference']:.0e}"
    return result
