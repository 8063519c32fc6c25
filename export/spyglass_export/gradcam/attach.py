"""Puts a heatmap into an ONNX classifier."""

from __future__ import annotations

from typing import Literal

import onnx

from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, HEATMAP_METHODS, SCORE_CAM, SCORES
from spyglass_export.gradcam.branch import BranchOutput, attach_branch
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.feature_map import FeatureMap, find_feature_map
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.methods import METHODS
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.score_cam import feature_map_output, scores_output
from spyglass_export.gradcam.scores import GradientOf, Scores, explained_scores
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.standard_form import standard_form
from spyglass_export.gradcam.weights import as_float32

MethodName = Literal["gradcam", "gradcam++", "layercam", "eigencam", "scorecam"]


def attach_gradcam(
    model: onnx.ModelProto,
    *,
    feature_map: str | None = None,
    scores: str | None = None,
    method: MethodName = "gradcam",
    gradient_of: GradientOf = "logit",
) -> onnx.ModelProto:
    """Returns a copy of an ONNX classifier that also computes where in the image it saw a class.

    The copy has a further input `class_index`, int64 [batch], and a further output `heatmap`, float32
    [batch, height, width] in [0, 1], of the size of the feature map. A negative index stands for the
    predicted class, and so does leaving the input out. One index serves a whole batch; a batch of one
    image takes any number of indices and returns as many maps from a single forward pass; no index at
    all, an empty tensor, costs nothing and returns no map. ONNX Runtime refuses an index that is no class.

    `feature_map` names the tensor or node to explain; by default it is the last spatial feature map before
    the scores. `scores` names the tensor of class scores; by default it is behind the output
    `probabilities`, or behind the only output that can be one.

    Grad-CAM is relu(mean_k(A_k · mean_xy ∂score/∂A_k)) over the channels A_k of the feature map, divided
    by its maximum or 1e-12, whichever is more (Selvaraju et al. 2017). The score is the logit, for the
    gradient of a probability near 0 or 1 vanishes in float32 and its map is noise. It is found behind a
    final softmax or sigmoid, also where that is written out in smaller operators; where the answers are
    probabilities of another kind, it is them. `gradient_of="probability"` differentiates the model's own
    output in any case. The description of `heatmap` in the graph tells which it is. `gradcam++` and
    `layercam` come from the same gradient; `eigencam` needs none and so works with any operators.

    `scorecam` needs no gradient either, but many forward passes, which no graph can do: the copy has the
    outputs `heatmap_features` and `heatmap_scores` instead, of which the server makes the heatmap: see
    `spyglass_contract.model.card`.

    Raises HeatmapError: ScoresError, FeatureMapError or UnsupportedHead, which names the node in the way.
    """
    if method not in HEATMAP_METHODS:
        raise HeatmapError(f"there is no method '{method}'; it is one of {', '.join(HEATMAP_METHODS)}")
    source = standard_form(model)
    view = GraphView(source)
    _refuse_second_heatmap(view)
    found_scores = explained_scores(view, scores, gradient_of)
    found_map = find_feature_map(view, found_scores.tensor, feature_map)
    branch = GraphBuilder(view.opset, _names(source.graph))
    given = _explanation(view, branch, found_scores, found_map)
    if method == SCORE_CAM:
        outputs = [feature_map_output(given), scores_output(given)]
    else:
        outputs = [_heatmap_output(given, method)]
    attached = onnx.ModelProto()
    attached.CopyFrom(source)
    attach_branch(attached.graph, branch, outputs)
    return attached


def explained_tensor(
    model: onnx.ModelProto,
    *,
    feature_map: str | None = None,
    scores: str | None = None,
    gradient_of: GradientOf = "logit",
) -> str:
    """The name of the tensor that `attach_gradcam` explains when given the same. Raises HeatmapError."""
    view = GraphView(standard_form(model))
    found = explained_scores(view, scores, gradient_of)
    return find_feature_map(view, found.tensor, feature_map).tensor


def _refuse_second_heatmap(view: GraphView) -> None:
    names = _names(view.model.graph)
    for name in (HEATMAP, CLASS_INDEX, FEATURE_MAP, SCORES):
        if name in names:
            raise HeatmapError(f"the model has a tensor '{name}' already; is a heatmap attached to it?")


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {value.name for values in (graph.input, graph.output, graph.initializer) for value in values}
    for node in graph.node:
        named.update((node.name, *node.output))
    return named


def _explanation(
    view: GraphView, branch: GraphBuilder, scores: Scores, feature_map: FeatureMap
) -> Explanation:
    activations = Sized(as_float32(view, branch, feature_map.tensor), view.dims(feature_map.tensor))
    return Explanation(view, branch, scores, feature_map, activations)


def _heatmap_output(given: Explanation, method: str) -> BranchOutput:
    result = _scaled(given.build, METHODS[method](given))
    description = f"{method} of '{given.feature_map.tensor}'"
    if method != "eigencam":
        description += f", gradient of the {given.scores.gradient_of} '{given.scores.tensor}'"
    axes = ("maps", "map_height", "map_width")
    return BranchOutput(HEATMAP, result, axes, (None, *given.places), description)


def _scaled(build: GraphBuilder, raw: str) -> str:
    """What speaks for the class, in [0, 1]; all zeros where nothing does.

    Nothing does, either, in a map with a number that is none or infinite: what it says of other places
    comes from the same weights.
    """
    # 0 times a number is 0, times an infinite one or none it is none.
    nothing = reduce(build, "ReduceSum", build.add("Mul", raw, build.floats(0)), [1, 2])
    finite = build.add("Equal", nothing, build.floats(0))
    positive = build.add("Relu", build.add("Where", finite, raw, build.floats(0)))
    largest = reduce(build, "ReduceMax", positive, [1, 2])
    return build.add("Div", positive, build.add("Max", largest, build.floats(1e-12)))
