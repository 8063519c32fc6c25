"""A classifier's graph with what it lacks on both sides: from uint8 pixels to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import PROBABILITIES
from spyglass_export import postprocessing, preprocessing
from spyglass_export.foreign import ImageInput
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.postprocessing import Activation
from spyglass_export.preprocessing import Preprocessing
from spyglass_export.rename import rename_tensor
from spyglass_export.tidy import BATCH, tidy

# Where the network's own tensors go that have a name which the file needs.
_MOVED = "network/"


@dataclass(frozen=True)
class Plan:
    """How pixels become the network's input, and what it computes probabilities."""

    image: ImageInput
    wanted: Preprocessing
    # The tensor that probabilities are made of: the network's output, or the logits behind it.
    output: str
    activation: Activation
    # Numbers that the network gives for each image.
    columns: int


def completed(source: onnx.ModelProto, card: ModelCard, plan: Plan) -> onnx.ModelProto:
    """A copy of `source` with one input, the card's, and one output, `probabilities`.

    uint8 [batch, height, width, channels] to float32 [batch, classes].
    """
    model = onnx.ModelProto()
    model.CopyFrom(source)
    pixels = card.input.tensor
    moved = {name: _MOVED + name for name in (pixels, PROBABILITIES)}
    for old, new in moved.items():
        rename_tensor(model.graph, old, new)
    fed, output = (moved.get(name, name) for name in (plan.image.tensor, plan.output))
    view, taken, image = GraphView(source), _names(model.graph), plan.image
    before, after = GraphBuilder(view.opset, taken, "before/"), GraphBuilder(view.opset, taken, "after/")
    preprocessing.add_nodes(
        before, pixels, plan.wanted, channels_first=image.channels_first, element=image.element
    )
    postprocessing.add_nodes(after, output, plan.activation, plan.columns, view.element(plan.output))
    before.nodes[-1].output[0], after.nodes[-1].output[0] = fed, PROBABILITIES
    _enclose(model.graph, before, after)
    _state_ends(model.graph, card, plan)
    tidy(model, card)
    return model


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {tensor.name for tensor in graph.initializer}
    return named.union(*((node.name, *node.output) for node in graph.node))


def _enclose(graph: onnx.GraphProto, before: GraphBuilder, after: GraphBuilder) -> None:
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.initializers, *after.initializers])


def _state_ends(graph: onnx.GraphProto, card: ModelCard, plan: Plan) -> None:
    del graph.input[:], graph.output[:]
    spec = card.input
    image: list[str | int | None] = [BATCH, spec.height, spec.width, plan.image.channels]
    answer: list[str | int | None] = [BATCH, len(card.class_names)]
    graph.input.append(helper.make_tensor_value_info(spec.tensor, TensorProto.UINT8, image))
    graph.output.append(helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, answer))
