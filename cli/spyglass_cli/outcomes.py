"""What came of each picture: the one thing that all ways to ask give, and all formats show."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from spyglass_client import Answer, Heatmap


@dataclass(frozen=True)
class Outcome:
    """A picture, and its answer or failure."""

    path: str
    answer: Answer
    # Where the heatmaps were written, one for each class explained.
    heatmaps: tuple[str, ...] = ()

    def written(self) -> list[tuple[Heatmap, str]]:
        """Each heatmap that was written, and where."""
        explained = self.answer.explained if isinstance(self.answer, Heatmap) else ()
        return list(zip(explained, self.heatmaps, strict=False))

    def to_dict(self) -> dict[str, Any]:
        """`{"path", "model", "classes", "timing_ms"}` or `{"path", "error"}`; `heatmaps` with their paths."""
        fields = {"path": self.path, **self.answer.to_dict()}
        for heatmap, path in zip(fields.get("heatmaps", ()), self.heatmaps, strict=False):
            heatmap["path"] = path
        return fields


Outcomes = Generator[Outcome, None, None]
"""Outcomes as they come; to close it ends what is under way."""
