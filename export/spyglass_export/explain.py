"""The heatmap in the graph of a classifier that is being exported."""

from __future__ import annotations

import onnx

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelCard
from spyglass_export.gradcam import attach_gradcam, explained_tensor


def with_heatmap(graph: onnx.ModelProto, card: ModelCard) -> onnx.ModelProto:
    """The graph of a classifier with Grad-CAM in it; any other as it is.

    Names in `card` the layer explained. Raises HeatmapError where there is no feature map to explain, or an
    operation behind it that has no gradient here.
    """
    if card.task != TASK_CLASSIFY:
        return graph
    explained = attach_gradcam(graph)
    card.explained_layer = explained_tensor(graph)
    return explained
