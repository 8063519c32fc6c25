"""The heatmap in the graph of a classifier that is being exported."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelCard
from spyglass_export.gradcam import attach_gradcam, explained_tensor
from spyglass_export.gradcam.attach import MethodName
from spyglass_export.gradcam.scores import GradientOf


@dataclass(frozen=True)
class Explained:
    """What a heatmap explains and how, as `attach_gradcam` takes it."""

    feature_map: str | None = None
    method: MethodName = "gradcam"
    gradient_of: GradientOf = "logit"


PLAIN = Explained()


def with_heatmap(graph: onnx.ModelProto, card: ModelCard, explained: Explained = PLAIN) -> onnx.ModelProto:
    """The graph of a classifier with a heatmap in it; any other as it is.

    Names in `card` the layer explained and the method. Raises HeatmapError where there is no feature map to
    explain, or an operation behind it that has no gradient here.
    """
    if card.task != TASK_CLASSIFY:
        return graph
    name, gradient_of = explained.feature_map, explained.gradient_of
    attached = attach_gradcam(graph, feature_map=name, method=explained.method, gradient_of=gradient_of)
    card.explained_layer = explained_tensor(graph, feature_map=name, gradient_of=gradient_of)
    card.heatmap_method = explained.method
    return attached
