"""Summary of the measurements: the numbers of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.checking.check import BASELINES, HEATMAP, CheckedImage, Stage
from spyglass_export.checking.curves import CURVES, Curve

# The heatmap wins with the smaller area of deletion, and with the larger area of insertion.
_BETTER_SIGN: dict[Curve, int] = {"deletion": -1, "insertion": 1}


@dataclass(frozen=True)
class Checked:
    """The results of a check. `sha256` is that of the file; `skipped` holds unreadable images and reasons."""

    card: ModelCard
    sha256: str
    steps: int
    seed: int
    images: Sequence[CheckedImage]
    stages: Sequence[Stage]
    skipped: Sequence[tuple[str, str]]

    def mean_auc(self, curve: Curve, by: str) -> float:
        """Return the mean area over all images; `by` is the map that orders the pixels."""
        return float(np.mean([image.curves[by].auc(curve) for image in self.images]))

    def wins(self, curve: Curve, baseline: str) -> int:
        """Return the number of images in which the heatmap has a better area than a baseline."""
        margins = [
            _BETTER_SIGN[curve] * (image.curves[HEATMAP].auc(curve) - image.curves[baseline].auc(curve))
            for image in self.images
        ]
        return sum(margin > 0 for margin in margins)

    def to_dict(self) -> dict[str, Any]:
        """Return every number as values for JSON."""
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
                curve: {by: self.mean_auc(curve, by) for by in (HEATMAP, *BASELINES)} for curve in CURVES
            },
            "wins": {curve: {name: self.wins(curve, name) for name in BASELINES} for curve in CURVES},
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
    """Return the mean of the values that are not None; None if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "layers": stage.layers,
        "lowest": stage.lowest,
        "mean_rank_correlation": mean_of(stage.rank_correlations),
        "mean_structural_similarity": mean_of(stage.structural_similarities),
        "rank_correlations": stage.rank_correlations,
        "structural_similarities": stage.structural_similarities,
    }
