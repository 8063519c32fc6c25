"""Attaches a heatmap to an ONNX classifier."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Literal, get_args

import onnx

from spyglass_contract.model.card import (
    HEATMAP,
    HEATMAP_METHODS,
    SCORE_CAM,
    HeatmapMethod,
)
from spyglass_export.gradcam.advice import Choices, tried
from spyglass_export.gradcam.arranged_gradient import activations_of
from spyglass_export.gradcam.branch import BranchOutput, attach_branch
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.class_loop import one_class_at_a_time
from spyglass_export.gradcam.errors import HeatmapError, UnsupportedHead
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.feature_map import FeatureMap, find_feature_map
from spyglass_export.gradcam.free_names import with_free_names
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.methods import METHODS
from spyglass_export.gradcam.rows import rows_may_be_classes
from spyglass_export.gradcam.scaling import scaled
from spyglass_export.gradcam.score_cam import feature_map_output, scores_output
from spyglass_export.gradcam.scores import GradientOf, Scores, explained_scores
from spyglass_export.simplifying import simplified
from spyglass_export.simplifying.names import all_names

# Eigen-CAM does not depend on the class.
_WITHOUT_SCORE = "eigencam"


@dataclass(frozen=True)
class AttachedHeatmap:
    """A classifier with a heatmap in its graph.

    `layer` is the tensor that the heatmap explains; if there are several, their names are joined by " + ".
    `score` says whether `logit` or `probability` is differentiated; it is empty for Eigen-CAM, which uses no
    score. `notices` say what a reader of the heatmaps must know about the choice of the layer.
    """

    model: onnx.ModelProto
    layer: str
    score: GradientOf | Literal[""]
    notices: tuple[str, ...] = ()


def attach_gradcam(
    model: onnx.ModelProto,
    *,
    feature_map: str | None = None,
    scores: str | None = None,
    method: HeatmapMethod = "gradcam",
    gradient_of: GradientOf = "logit",
) -> AttachedHeatmap:
    """Return a copy of an ONNX classifier that also computes where the image shows a class.

    The copy has a further input `class_index`, int64 [batch], and a further output `heatmap`, float32
    [batch, height, width] in [0, 1], of the size of the feature map. A negative index stands for the
    predicted class; so does a missing input. One index applies to a whole batch. A batch of one image takes
    any number of indices and returns as many maps from a single forward pass. An empty tensor of indices
    costs nothing and returns no map. ONNX Runtime rejects an index that is not a class.

    `feature_map` names the tensor or node to explain; the default is the last feature map that every path
    from the image to the scores passes. Tokens are a feature map if they lie at the places of a grid over the
    image. If no map has all of the evidence, the heatmap is that of several maps, joined along their
    channels; coarser ones are interpolated. `scores` names the tensor of class scores; the default is found
    behind the output `probabilities`, or behind the only output that can hold them.

    Grad-CAM is relu(mean_k(A_k · mean_xy ∂score/∂A_k)) over the channels A_k of the feature map, divided
    by its maximum or 1e-12, whichever is more (Selvaraju et al. 2017). The score is the logit: the gradient
    of a probability near 0 or 1 vanishes in float32, and its map is noise. The logit is found behind a final
    softmax or sigmoid, even if the graph spells those out in smaller operators. If the outputs are
    probabilities of another kind, the score is the probability. `gradient_of="probability"` always
    differentiates the model's own output. The graph's description of `heatmap` names the score. `gradcam++`
    and `layercam` use the same gradient; `eigencam` needs no gradient and so works with any operators.

    `scorecam` needs no gradient but many forward passes, which a graph cannot do. Its copy has the outputs
    `heatmap_features` and `heatmap_scores` instead, and the server computes the heatmap from them: see
    `spyglass_contract.model.card`.

    Tensors of the model with a name of the heatmap's, such as `heatmap`, are called `network/heatmap` in the
    copy. `feature_map` and `scores` take the names of the model itself.

    Raises HeatmapError: ScoresError, FeatureMapError, or UnsupportedHead, which names the node that has no
    gradient, and the choices that were tried and avoid it.
    """
    _check_choices(method, gradient_of)
    source, moved = with_free_names(simplified(model))
    view = GraphView(source)
    feature_map, scores = (moved.get(name or "", name) for name in (feature_map, scores))
    chosen = Choices(feature_map, scores, method, gradient_of)
    try:
        return _attached(view, chosen)
    except UnsupportedHead as error:
        raise tried(error, view, chosen, _attached) from error


def _attached(view: GraphView, chosen: Choices) -> AttachedHeatmap:
    feature_map, scores, method, gradient_of = astuple(chosen)
    found_scores = explained_scores(view, scores, gradient_of)
    found_map, notices = find_feature_map(view, found_scores, feature_map)
    branch = GraphBuilder(view.opset, all_names(view.model.graph))
    given = _explanation(view, branch, found_scores, found_map)
    if method == SCORE_CAM:
        outputs = [feature_map_output(given), scores_output(given)]
    else:
        outputs = [_heatmap_output(given, method)]
    attached = onnx.ModelProto()
    attached.CopyFrom(view.model)
    attach_branch(attached.graph, branch, outputs)
    return AttachedHeatmap(attached, found_map.tensor, _score(found_scores, method), notices)


def _check_choices(method: str, gradient_of: str) -> None:
    if method not in HEATMAP_METHODS:
        raise HeatmapError(f"method must be one of {', '.join(HEATMAP_METHODS)}, not '{method}'")
    if gradient_of not in get_args(GradientOf):
        raise HeatmapError(
            f"gradient_of must be one of {', '.join(get_args(GradientOf))}, not '{gradient_of}'"
        )


def _explanation(
    view: GraphView, branch: GraphBuilder, scores: Scores, feature_map: FeatureMap
) -> Explanation:
    arranged = activations_of(view, branch, feature_map)
    return Explanation(view, branch, scores, feature_map, arranged.whole, arranged.parts)


def _score(scores: Scores, method: str) -> GradientOf | Literal[""]:
    return "" if method == _WITHOUT_SCORE else scores.gradient_of


def _heatmap_output(given: Explanation, method: str) -> BranchOutput:
    result = scaled(given.build, METHODS[method](given))
    tensors, scores = given.feature_map.tensors, given.scores.tensor
    if method != _WITHOUT_SCORE and not rows_may_be_classes(given.view, tensors, scores):
        image = given.view.model.graph.input[0].name
        result = one_class_at_a_time(given.build, image, result, given.places)
    description = f"{method} of '{given.feature_map.tensor}'"
    if score := _score(given.scores, method):
        description += f", gradient of the {score} '{given.scores.tensor}'"
    axes = ("maps", "map_height", "map_width")
    return BranchOutput(HEATMAP, result, axes, (None, *given.places), description)
