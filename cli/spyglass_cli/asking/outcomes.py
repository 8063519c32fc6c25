"""What came of each image: the one thing that all ways to ask give, and all formats show."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from spyglass_client import Classification, Failure, Heatmap, Segmentation

Answer = Classification | Segmentation | Failure
"""A Heatmap is a Classification, too."""


@dataclass(frozen=True)
class Outcome:
    """An image, and its answer or failure."""

    path: str
    answer: Answer
    # Where its images were written: one for each class explained, or the one of a mask.
    files: tuple[str, ...] = ()

    def heatmaps(self) -> list[tuple[Heatmap, str]]:
        """Each heatmap that was written, and where."""
        explained = self.answer.explained if isinstance(self.answer, Heatmap) else ()
        return list(zip(explained, self.files, strict=False))

    def to_dict(self) -> dict[str, Any]:
        """`{"path", "model", "classes", "timing_ms"}` or `{"path", "error"}`.

        A heatmap has its `path` among the `heatmaps`, a mask in `mask`.
        """
        fields = {"path": self.path, **self.answer.to_dict()}
        places = [fields["mask"]] if "mask" in fields else fields.get("heatmaps", ())
        for place, path in zip(places, self.files, strict=False):
            place["path"] = path
        return fields


Outcomes = Generator[Outcome, None, None]
"""Outcomes as they come; to close it ends what is under way."""
