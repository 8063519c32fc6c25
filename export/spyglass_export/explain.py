"""The heatmap in the graph of a classifier that is being exported."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelCard
from spyglass_export.gradcam import HeatmapError, attach_gradcam, explained_tensor
from spyglass_export.gradcam.attach import MethodName
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.scores import GradientOf, explained_scores
from spyglass_export.gradcam.standard_form import standard_form


@dataclass(frozen=True)
class Explained:
    """What a heatmap explains and how, as `attach_gradcam` takes it."""

    feature_map: str | None = None
    method: MethodName = "gradcam"
    gradient_of: GradientOf = "logit"


PLAIN = Explained()


def with_heatmap(graph: onnx.ModelProto, card: ModelCard, explained: Explained = PLAIN) -> onnx.ModelProto:
    """The graph of a classifier with a heatmap in it; any other as it is, where nothing is chosen for it.

    Names in `card` the layer explained, the method and the score. Raises HeatmapError where there is no
    feature map to explain, or an operation behind it that has no gradient here.
    """
    if card.task != TASK_CLASSIFY:
        if explained != PLAIN:
            raise HeatmapError("only a classifier has a heatmap to choose method, feature map and score of")
        return graph
    name, gradient_of = explained.feature_map, explained.gradient_of
    attached = attach_gradcam(graph, feature_map=name, method=explained.method, gradient_of=gradient_of)
    card.explained_layer = explained_tensor(graph, feature_map=name, gradient_of=gradient_of)
    card.heatmap_method = explained.method
    card.explained_score = _explained_score(graph, explained)
    return attached


def _explained_score(graph: onnx.ModelProto, explained: Explained) -> str:
    """What is explained in truth: of a graph whose softmax cannot be left off it is the probability."""
    if explained.method == "eigencam":
        return ""
    return explained_scores(GraphView(standard_form(graph)), None, explained.gradient_of).gradient_of
