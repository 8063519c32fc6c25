"""Grad-CAM (Selvaraju et al. 2017): the weight of each channel is its mean gradient."""

from __future__ import annotations

from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.methods.gradient import gradient_of
from spyglass_export.gradcam.scaling import RawMap
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sizes import number_of
from spyglass_export.gradcam.spatial_sum import SpatialSum, spatial_sum, summed_over
from spyglass_export.gradcam.token_sum import token_sum


def gradcam(given: Explanation) -> RawMap:
    """Add mean_k(A_k · mean_xy ∂score/∂A_k)."""
    build, feature_map = given.build, given.feature_map
    every_axis = (feature_map.layout.channel, *feature_map.layout.spatial)
    found = _sum_near_the_map(given)
    if found is None:
        found = summed_over(build, gradient_of(given), feature_map.layout.spatial)
    else:
        given.record(found.sums, found.magnitudes or "", summed=True)
    return given.weighted_sum(found.sums, found.magnitudes, number_of(build, given.activations, every_axis))


def _sum_near_the_map(given: Explanation) -> SpatialSum | None:
    """The sum over height and width without a gradient of the map's size, None if that is not known."""
    view, build, feature_map, scores = given.view, given.build, given.feature_map, given.scores
    if feature_map.parts:
        return token_sum(view, build, feature_map, scores)
    head = find_head(view, feature_map.tensor, scores.tensor)
    return spatial_sum(view, build, head, feature_map, seed(view, build, scores))
