"""Segmentations as rows: the classes in the mask, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.output.rows import Rows
from spyglass_client import Segmentation, SegmentedClass


class SegmentRows(Rows):
    """The size of each class in the mask, and its mean probability."""

    columns = (
        "path",
        "model",
        "version",
        "index",
        "class",
        "fraction",
        "pixels",
        "mean_score",
        "color",
        "error",
        "file",
    )
    numbers = ("fraction", "pixels", "mean score")

    def fields(self, outcome: Outcome) -> list[dict[str, Any]]:
        return [
            {
                "index": entry.index,
                "class": entry.name,
                "fraction": f"{entry.fraction:.6f}",
                "pixels": entry.pixels,
                "mean_score": f"{entry.mean_score:.6f}",
                "color": entry.color,
                "file": "".join(outcome.files),
            }
            for entry in _shown(outcome)
        ]

    def cells(self, outcome: Outcome) -> list[Sequence[str]]:
        return [
            (entry.name, f"{entry.fraction:.1%}", f"{entry.pixels:,}", f"{entry.mean_score:.1%}")
            for entry in _shown(outcome)
        ]

    def written(self, outcome: Outcome) -> list[str]:
        return list(outcome.files)


def _shown(outcome: Outcome) -> list[SegmentedClass]:
    assert isinstance(outcome.result, Segmentation)
    shown = [entry for entry in outcome.result.classes if entry.pixels]
    return sorted(shown, key=lambda entry: -entry.pixels)
