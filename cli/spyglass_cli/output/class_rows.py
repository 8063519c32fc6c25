"""Classifications as rows: the most probable classes, best first, with their heatmaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.output.rows import Rows
from spyglass_client import Classification


class ClassRows(Rows):
    """In CSV, a class with a heatmap that is not among the most probable has a row without a rank."""

    columns = ("path", "model", "version", "rank", "index", "class", "score", "error", "heatmap")
    numbers = ("score",)

    def fields(self, outcome: Outcome) -> list[dict[str, Any]]:
        assert isinstance(outcome.result, Classification)
        classes = outcome.result.classes
        heatmaps = {heatmap.target: path for heatmap, path in outcome.heatmaps()}
        unranked = [target for target in heatmaps if target not in classes]
        ranked = [*enumerate(classes, 1), *(("", target) for target in unranked)]
        return [
            {
                "rank": rank,
                "index": entry.index,
                "class": entry.name,
                "score": f"{entry.score:.6f}",
                "heatmap": heatmaps.get(entry, ""),
            }
            for rank, entry in ranked
        ]

    def cells(self, outcome: Outcome) -> list[Sequence[str]]:
        assert isinstance(outcome.result, Classification)
        return [(entry.name, f"{entry.score:.1%}") for entry in outcome.result.classes]

    def written(self, outcome: Outcome) -> list[str]:
        return [f"{path}: {heatmap.target.name}" for heatmap, path in outcome.heatmaps()]
