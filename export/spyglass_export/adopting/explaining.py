"""The heatmap of an adopted classifier, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.adopting.complete import moved_names
from spyglass_export.adopting.operator_forms import integer_operators
from spyglass_export.gradcam import FeatureMapError, HeatmapError, UnsupportedHead
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions, attached_heatmap


@dataclass(frozen=True)
class Explained:
    """A completed graph with a heatmap, and notices for its owner about the explained layer.

    If the graph has no heatmap, `no_heatmap` says why.
    """

    graph: onnx.ModelProto
    notices: tuple[str, ...] = ()
    no_heatmap: str = ""


def explained(
    graph: onnx.ModelProto, card: ModelCard, source: onnx.ModelProto, options: HeatmapOptions
) -> Explained:
    """Return the completed graph with a heatmap.

    A network that computes in integers has no gradients. If `options` are the default, such a network is
    returned unchanged, with a sentence that says why it has no heatmap. Raises HeatmapError for any other
    network without a feature map or a gradient.
    """
    moved = moved_names(source, card)
    name = options.feature_map
    chosen = HeatmapOptions(moved.get(name, name) if name else name, options.method, options.gradient_of)
    try:
        attached = attached_heatmap(graph, card, chosen)
        return Explained(attached.model, attached.notices)
    except HeatmapError as error:
        integers = integer_operators(source.graph.node)
        if not integers or not isinstance(error, FeatureMapError | UnsupportedHead):
            raise
        told = f"the network computes in integers ({', '.join(integers)}), which have no gradients"
        if options != DEFAULT_HEATMAP:
            raise HeatmapError(f"{told}: {error.problem}", *error.advice, tensors=error.tensors) from error
        return Explained(graph, no_heatmap=f"{told}: the model has no heatmap")
