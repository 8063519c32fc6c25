"""Grad-CAM (Selvaraju et al. 2017): the weight of each channel is its mean gradient."""

from __future__ import annotations

from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.methods.gradient import gradient_of
from spyglass_export.gradcam.scaling import RawMap
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sizes import count
from spyglass_export.gradcam.spatial_sum import spatial_sum, summed_over


def gradcam(given: Explanation) -> RawMap:
    """Add mean_k(A_k · mean_xy ∂score/∂A_k)."""
    view, build, feature_map = given.view, given.build, given.feature_map
    every_axis = (feature_map.layout.channel, *feature_map.layout.spatial)
    if feature_map.parts:
        found = summed_over(build, gradient_of(given), feature_map.layout.spatial)
    else:
        head = find_head(view, feature_map.tensor, given.scores.tensor)
        found = spatial_sum(view, build, head, feature_map, seed(view, build, given.scores))
        given.record(found.sums, found.magnitudes or "", summed=True)
    number = count(build, given.activations, every_axis)
    magnitudes = found.magnitudes and build.add("Div", found.magnitudes, number)
    return given.weighted_sum(build.add("Div", found.sums, number), magnitudes)
