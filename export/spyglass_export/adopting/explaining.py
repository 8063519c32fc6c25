"""The heatmap of an adopted classifier, or the reason why it has none."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from spyglass.v1.model_pb2 import ModelCard
from spyglass_export.adopting.complete import new_names
from spyglass_export.adopting.operator_forms import integer_operators
from spyglass_export.gradcam import Advice, FeatureMapError, HeatmapError, UnsupportedHead
from spyglass_export.heatmap import DEFAULT_HEATMAP, HeatmapOptions, attached_heatmap
from spyglass_export.simplifying.names import all_names
from spyglass_export.simplifying.node_order import all_nodes

_WAY_OUT = (
    "for heatmaps quantise it in the QDQ format (quant_format=QuantFormat.QDQ of ONNX Runtime's "
    "quantize_static), or adopt the network from before its quantisation"
)


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
    returned unchanged, with a sentence that says why it has no heatmap, and how it can have one. Raises
    HeatmapError for any other network without a feature map or a gradient.
    """
    moved = new_names(source, card)
    name = moved.get(options.feature_map or "", options.feature_map)
    chosen = HeatmapOptions(name, options.method, options.gradient_of)
    try:
        attached = attached_heatmap(graph, card, chosen)
        return Explained(attached.model, attached.notices)
    except (FeatureMapError, UnsupportedHead) as error:
        integers = integer_operators(all_nodes(source.graph))
        if not integers or (name and name not in all_names(graph.graph)):
            raise
        works = _has_heatmap_without_gradient(graph, card, name)
        told = _without_gradients(integers)
        if options != DEFAULT_HEATMAP:
            raise HeatmapError(f"{told}; {_WAY_OUT}", *([Advice.NO_GRADIENT] if works else [])) from error
        other = ", or choose --method eigencam or scorecam, which need no gradient" if works else ""
        return Explained(graph, no_heatmap=f"{told}: the model has no heatmap; {_WAY_OUT}{other}")


def way_out(source: onnx.ModelProto) -> str:
    """Return why a network that computes in integers has no gradients and what to do; empty for others."""
    integers = integer_operators(all_nodes(source.graph))
    return f"{_without_gradients(integers)}; {_WAY_OUT}" if integers else ""


def _without_gradients(integers: list[str]) -> str:
    return f"the network computes in integers ({', '.join(integers)}), which have no gradients"


def _has_heatmap_without_gradient(graph: onnx.ModelProto, card: ModelCard, name: str | None) -> bool:
    draft = ModelCard()
    draft.CopyFrom(card)
    try:
        attached_heatmap(graph, draft, HeatmapOptions(name, "eigencam"))
    except HeatmapError:
        return False
    return True
