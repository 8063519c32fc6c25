"""The outcome of each image: its path, its result or failure, and the files written for it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from spyglass_client import Classification, Failure, Heatmap, Segmentation

Result = Classification | Segmentation | Failure
"""A Heatmap is a Classification, too."""


@dataclass(frozen=True)
class Outcome:
    """One image with its result or failure."""

    path: str
    result: Result
    # The files that were written: one for each explained class, or one for the mask.
    files: tuple[str, ...] = ()

    def heatmaps(self) -> list[tuple[Heatmap, str]]:
        """Return each heatmap that was written, with its file."""
        explained = self.result.explained if isinstance(self.result, Heatmap) else ()
        return list(zip(explained, self.files, strict=False))

    def to_dict(self) -> dict[str, Any]:
        """Return `{"path", "model", "classes", "timing_ms"}` or `{"path", "error"}`.

        The file of a heatmap is the `path` of its entry in `heatmaps`, the file of a mask the `path` in
        `mask`.
        """
        fields = {"path": self.path, **self.result.to_dict()}
        places = [fields["mask"]] if "mask" in fields else fields.get("heatmaps", ())
        for place, path in zip(places, self.files, strict=False):
            place["path"] = path
        return fields


Outcomes = Generator[Outcome, None, None]
"""Outcomes in the order of the images; closing it ends the calls in progress."""
