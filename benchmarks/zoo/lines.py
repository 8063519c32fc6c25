"""Results as lines of JSON, one for each exported file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The fields of `zoo.comparison.Comparison`, and how the export went.
Line = dict[str, Any]
# Larger than what rounding in double precision leaves.
_BYPASS = 1e-6


def read_results(path: Path) -> list[Line]:
    """Return the lines of a file of results; none if there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def add_results(path: Path, lines: Sequence[Line]) -> None:
    """Append lines to a file of results."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def describe(line: Line) -> str:
    """Return a line of results as one line of text."""
    text = f"{line['key']:34} {line['exporter']:7}{line['result']:13}"
    if line.get("difference") is not None:
        near, tried = line["located"]
        text += f"{line['difference']:.1e} (noise {line['noise']:.1e}, {near} of {tried} cells) "
        text += f"bypass {line['bypass']:.1e} " if line["bypass"] > _BYPASS else ""
    if line.get("size"):
        height, width = line["size"]
        cost = line["explained_ms"] / line["plain_ms"]
        text += f"{height}×{width} {line['layer']}, {line['plain_ms']:.1f} ms × {cost:.3f} "
    why = str(line["why"]).replace("\n", " ")
    return text + why[:300]
