"""What was measured, added up: the numbers of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.checking.check import HEATMAP, RIVALS, CheckedImage, Stage

CURVES = ("deletion", "insertion")


@dataclass(frozen=True)
class Checked:
    """One run of the check. `sha256` is the file's; `skipped` are names and reasons of images left out."""

    card: ModelCard
    sha256: str
    steps: int
    seed: int
    images: Sequence[CheckedImage]
    stages: Sequence[Stage]
    skipped: Sequence[tuple[str, str]]

    def mean_auc(self, curve: str, by: str) -> float:
        """Over all images; `curve` is deletion or insertion, `by` the map that it follows."""
        return float(np.mean([_auc(image, curve, by) for image in self.images]))

    def wins(self, curve: str, rival: str) -> int:
        """In how many images the heatmap has the better area than a rival."""
        sign = -1 if curve == "deletion" else 1
        margins = [sign * (_auc(image, curve, HEATMAP) - _auc(image, curve, rival)) for image in self.images]
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
            "images": [self._image(image) for image in self.images],
            "randomisation": [_stage(stage) for stage in self.stages],
            "skipped": [{"path": name, "error": reason} for name, reason in self.skipped],
        }

    def _image(self, image: CheckedImage) -> dict[str, Any]:
        return {
            "path": image.subject.name,
            "class_index": image.class_index,
            "class_name": self.card.class_names[image.class_index],
            "probability": image.probability,
            "all_zero": not image.heatmap.any(),
            "curves": {
                by: {
                    "deletion_auc": found.deletion_auc,
                    "insertion_auc": found.insertion_auc,
                    "deletion": found.deletion.tolist(),
                    "insertion": found.insertion.tolist(),
                }
                for by, found in image.curves.items()
            },
        }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of those that are defined; None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _auc(image: CheckedImage, curve: str, by: str) -> float:
    found = image.curves[by]
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
