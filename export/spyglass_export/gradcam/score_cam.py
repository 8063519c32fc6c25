"""Outputs of the graph for Score-CAM (Wang et al. 2020): the feature map and the scores of every image.

The program that runs the graph finds the weights of the channels by forward passes over masked images.
"""

from __future__ import annotations

from spyglass_contract.model.card import FEATURE_MAP, SCORES
from spyglass_export.gradcam.branch import BranchOutput
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.weights import as_float32


def feature_map_output(given: Explanation) -> BranchOutput:
    """Return the output of A as float32 [batch, channels, height, width], for any layout in the graph."""
    build, layout = given.build, given.feature_map.layout
    result = build.add("Transpose", given.activations.name, perm=[0, layout.channel, *layout.spatial])
    channels = given.activations.dims[layout.channel]
    axes = ("images", "map_channels", "map_height", "map_width")
    description = f"the feature map '{given.feature_map.tensor}'"
    return BranchOutput(FEATURE_MAP, result, axes, (None, channels, *given.places), description)


def scores_output(given: Explanation) -> BranchOutput:
    """Return the output of the class scores as float32 [batch, classes]."""
    build, scores = given.build, given.scores
    numbers = build.add("Flatten", as_float32(given.view, build, scores.tensor), axis=1)
    result = numbers if scores.logit_of is None else _of_both_classes(build, numbers, scores.logit_of)
    description = f"the class scores '{scores.tensor}'"
    return BranchOutput(SCORES, result, ("images", "classes"), (None, None), description)


def _of_both_classes(build: GraphBuilder, logit: str, logit_of: int) -> str:
    """One logit [batch, 1] as [batch, 2]: the other class gets its negative."""
    column = build.add("Reshape", logit, build.integers([-1, 1]))
    negative = build.add("Neg", column)
    return build.add("Concat", *((negative, column) if logit_of == 1 else (column, negative)), axis=1)
