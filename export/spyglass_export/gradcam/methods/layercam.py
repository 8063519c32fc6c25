"""LayerCAM (Jiang et al. 2021): each place has its own weight, so maps of earlier layers stay sharp."""

from __future__ import annotations

from dataclasses import replace

from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.methods.gradient import gradient_of
from spyglass_export.gradcam.scaling import RawMap


def layercam(given: Explanation) -> RawMap:
    """Add Σ_k max(g_k, 0)·A_k, place by place, with g the gradient of the score."""
    gradient = gradient_of(given)
    positive = given.build.add("Relu", gradient.name)
    return given.weighted_by(replace(gradient, name=positive))
