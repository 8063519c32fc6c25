"""Grad-CAM++ (Chattopadhay et al. 2018): a weighted sum of the places with a positive gradient."""

from __future__ import annotations

from dataclasses import replace

from spyglass_export.gradcam.cotangent import sum_over
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.methods.gradient import gradient_of
from spyglass_export.gradcam.opset_forms import reduce, squeeze
from spyglass_export.gradcam.scaling import RawMap


def gradcam_plus_plus(given: Explanation) -> RawMap:
    """Add Σ_k A_k · Σ_xy α_k·max(g_k, 0), with g the gradient of the score S, and e^S as the class score.

    Then α = g²/(2g² + ΣA·g³) (equation 19 of the paper) is 1/(2 + ΣA·g). The paper's A is the output of a
    ReLU. A negative ΣA counts as 0, because the denominator must not reach 0.
    """
    build, spatial = given.build, given.feature_map.layout.spatial
    gradient = gradient_of(given)
    whole = build.add("Relu", reduce(build, "ReduceSum", given.activations.name, spatial))
    positive = build.add("Relu", gradient.name)
    denominator = build.add("Add", build.add("Mul", whole, positive), build.floats(2))
    shares = replace(gradient, name=build.add("Div", positive, denominator))
    shares = replace(shares, spread=shares.spread - {given.feature_map.layout.channel})
    return given.weighted_sum(squeeze(build, sum_over(build, shares, spatial), spatial))
