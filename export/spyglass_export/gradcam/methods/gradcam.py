"""Grad-CAM (Selvaraju et al. 2017): the weight of each channel is its mean gradient."""

from __future__ import annotations

from spyglass_export.gradcam.cotangent import sum_over
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.methods.gradient import gradient_of
from spyglass_export.gradcam.opset_forms import squeeze
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sizes import count
from spyglass_export.gradcam.spatial_sum import spatial_sum


def gradcam(given: Explanation) -> str:
    """Add mean_k(A_k · mean_xy ∂score/∂A_k)."""
    view, build, feature_map = given.view, given.build, given.feature_map
    every_axis = (feature_map.layout.channel, *feature_map.layout.spatial)
    if feature_map.parts:
        spatial = feature_map.layout.spatial
        sums = squeeze(build, sum_over(build, gradient_of(given), spatial), spatial)
    else:
        head = find_head(view, feature_map.tensor, given.scores.tensor)
        sums = spatial_sum(view, build, head, feature_map, seed(view, build, given.scores))
    weights = build.add("Div", sums, count(build, given.activations, every_axis))
    return given.weighted_sum(weights)
