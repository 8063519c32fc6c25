"""What was measured, added up: the numbers of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.checking.check import HEATMAP, RIVALS, CheckedPicture, Stage

CURVES = ("deletion", "insertion")


@dataclass(frozen=True)
class Checked:
    """One run of the check. `sha256` is the file's; `skipped` are names and reasons of pictures left out."""

    card: ModelCard
    sha256: str
    steps: int
    seed: int
    pictures: Sequence[CheckedPicture]
    stages: Sequence[Stage]
    skipped: Sequence[tuple[str, str]]

    def mean_auc(self, curve: str, by: str) -> float:
        """Over all pictures; `curve` is deletion or insertion, `by` the map that it follows."""
        return float(np.mean([_auc(picture, curve, by) for picture in self.pictures]))

    def wins(self, curve: str, rival: str) -> int:
        """In how many pictures the heatmap has the better area than a rival."""
        sign = -1 if curve == "deletion" else 1
        margins = [
            sign * (_auc(picture, curve, HEATMAP) - _auc(picture, curve, rival)) for picture in self.pictures
        ]
        return sum(margin > 0 for margin in margins)

    def to_dict(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        return {
            "model": {
                "name": self.card.name,
                "version": self.card.version,
                "sha256": self.sha256,
                "layer": self.card.explained_layer,
                "method": self.card.heatmap_method or "gradcam",
            },
            "steps": self.steps,
            "seed": self.seed,
            "mean_auc": {
                curve: {by: self.mean_auc(curve, by) for by in (HEATMAP, *RIVALS)} for curve in CURVES
            },
            "wins": {curve: {rival: self.wins(curve, rival) for rival in RIVALS} for curve in CURVES},
            "pictures": [self._picture(picture) for picture in self.pictures],
            "randomisation": [_stage(stage) for stage in self.stages],
            "skipped": [{"path": name, "error": reason} for name, reason in self.skipped],
        }

    def _picture(self, picture: CheckedPicture) -> dict[str, Any]:
        return {
            "path": picture.subject.name,
            "class_index": picture.class_index,
            "class_name": self.card.class_names[picture.class_index],
            "probability": picture.probability,
            "all_zero": not picture.heatmap.any(),
            "curves": {
                by: {
                    "deletion_auc": found.deletion_auc,
                    "insertion_auc": found.insertion_auc,
                    "deletion": found.deletion.tolist(),
                    "insertion": found.insertion.tolist(),
                }
                for by, found in picture.curves.items()
            },
        }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _auc(picture: CheckedPicture, curve: str, by: str) -> float:
    found = picture.curves[by]
    return found.deletion_auc if curve == "deletion" else found.insertion_auc


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "layers": stage.layers,
        "lowest": stage.lowest,
        "mean_rank_correlation": mean_of(stage.rank_correlations),
        "mean_structural_similarity": mean_of(stage.structural_similarities),
        "rank_correlations": stage.rank_correlations,
        "structural_similarities": stage.structural_similarities,
    }
