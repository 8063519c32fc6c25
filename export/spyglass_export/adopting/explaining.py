"""The heatmap of an adopted classifier, or the reason why it has none."""

from __future__ import annotations

import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.adopting.complete import Plan, moved_names
from spyglass_export.adopting.operator_forms import integer_operators
from spyglass_export.gradcam import FeatureMapError, HeatmapError, UnsupportedHead
from spyglass_export.gradcam.feature_map import find_feature_map
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions, with_heatmap


def explained(
    graph: onnx.ModelProto, card: ModelCard, source: onnx.ModelProto, plan: Plan, options: HeatmapOptions
) -> tuple[onnx.ModelProto, str]:
    """Return the completed graph with a heatmap, and "".

    A network that computes in integers has no gradients. If `options` are the default, such a network is
    returned unchanged, with a sentence that says why it has no heatmap. Raises HeatmapError for any other
    network without a feature map or a gradient.
    """
    moved = moved_names(source, card)
    name = options.feature_map
    chosen = HeatmapOptions(moved.get(name, name) if name else name, options.method, options.gradient_of)
    try:
        return with_heatmap(graph, card, chosen), ""
    except HeatmapError as error:
        integers = integer_operators(source.graph.node)
        if not integers or not isinstance(error, FeatureMapError | UnsupportedHead):
            if isinstance(error, FeatureMapError) and name is None:
                _check_feature_map(source, plan)
            raise
        told = f"the network computes in integers ({', '.join(integers)}), which have no gradients"
        if options != DEFAULT_HEATMAP:
            raise HeatmapError(f"{told}: {error.problem}", *error.advice, tensors=error.tensors) from error
        return graph, f"{told}: the model has no heatmap"


def _check_feature_map(source: onnx.ModelProto, plan: Plan) -> None:
    """Raise FeatureMapError about the network alone: the nodes of its preprocessing are no feature map."""
    find_feature_map(GraphView(source), plan.output, None)
