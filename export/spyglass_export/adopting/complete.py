"""The graph of a classifier, completed on both sides: from uint8 pixels to probabilities."""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import PROBABILITIES
from spyglass_export.adopting.foreign import ImageInput
from spyglass_export.adopting.postprocessing import Activation, add_postprocessing
from spyglass_export.adopting.preprocessing import Preprocessing, add_preprocessing
from spyglass_export.converting.tidy import BATCH, tidy
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView

# Prefix for tensors of the network whose own name the completed file needs.
_MOVED = "network/"


@dataclass(frozen=True)
class Plan:
    """The nodes that a classifier lacks: from pixels to its input, and from its output to probabilities."""

    image: ImageInput
    preprocessing: Preprocessing
    # The tensor that the probabilities are computed from: the network's output, or the logits behind it.
    output: str
    activation: Activation
    # Size of the network's output for one image.
    columns: int


def completed(source: onnx.ModelProto, card: ModelCard, plan: Plan) -> onnx.ModelProto:
    """Return a copy of `source` with the card's input as its only input and the output `probabilities`.

    The copy goes from uint8 [batch, height, width, channels] to float32 [batch, classes].
    """
    model = onnx.ModelProto()
    model.CopyFrom(source)
    pixels = card.input.tensor
    moved = {name: _MOVED + name for name in (pixels, PROBABILITIES)}
    for old, new in moved.items():
        _rename_tensor(model.graph, old, new)
    fed, output = (moved.get(name, name) for name in (plan.image.tensor, plan.output))
    view, taken, image = GraphView(source), _names(model.graph), plan.image
    before, after = GraphBuilder(view.opset, taken, "before/"), GraphBuilder(view.opset, taken, "after/")
    add_preprocessing(
        before, pixels, plan.preprocessing, channels_first=image.channels_first, element=image.element
    )
    add_postprocessing(after, output, plan.activation, plan.columns, view.element(plan.output))
    before.nodes[-1].output[0], after.nodes[-1].output[0] = fed, PROBABILITIES
    _enclose(model.graph, before, after)
    _declare_ends(model.graph, card, plan)
    tidy(model, card)
    return model


def _rename_tensor(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a tensor of a graph in place, everywhere it is computed or read."""
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            if value.name == old:
                value.name = new
    for node in graph.node:
        _replace(node.input, old, new)
        _replace(node.output, old, new)
        for attribute in node.attribute:
            # The branches of an If and the body of a Loop can read tensors of the outer graph.
            for inner in (attribute.g, *attribute.graphs):
                _rename_tensor(inner, old, new)


def _replace(names: MutableSequence[str], old: str, new: str) -> None:
    for index, name in enumerate(names):
        if name == old:
            names[index] = new


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {tensor.name for tensor in graph.initializer}
    return named.union(*((node.name, *node.output) for node in graph.node))


def _enclose(graph: onnx.GraphProto, before: GraphBuilder, after: GraphBuilder) -> None:
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.initializers, *after.initializers])


def _declare_ends(graph: onnx.GraphProto, card: ModelCard, plan: Plan) -> None:
    del graph.input[:], graph.output[:]
    spec = card.input
    image: list[str | int | None] = [BATCH, spec.height, spec.width, plan.image.channels]
    probabilities: list[str | int | None] = [BATCH, len(card.class_names)]
    graph.input.append(helper.make_tensor_value_info(spec.tensor, TensorProto.UINT8, image))
    graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, probabilities))
