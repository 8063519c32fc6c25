"""The graph of a classifier, completed on both sides: from uint8 pixels to probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, PROBABILITIES, SCORES
from spyglass_export.adopting.image_input import ImageInput
from spyglass_export.adopting.postprocessing import Activation, add_postprocessing
from spyglass_export.adopting.preprocessing import Preprocessing, add_preprocessing
from spyglass_export.converting.early_transpose import transpose_early
from spyglass_export.converting.tidy import BATCH, tidy
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.simplifying.names import all_names, moved_names, rename


@dataclass(frozen=True)
class Plan:
    """The nodes that a classifier lacks: from pixels to its input, and from its output to probabilities."""

    image: ImageInput
    preprocessing: Preprocessing
    # The tensor that the probabilities are computed from: the network's output, or the logits behind it.
    output: str
    activation: Activation
    # Size of the network's output for one image, and the number of its axes if that is known.
    columns: int
    rank: int | None


def completed(source: onnx.ModelProto, card: ModelCard, plan: Plan) -> onnx.ModelProto:
    """Return a copy of `source` with the card's input as its only input and the output `probabilities`.

    The copy goes from uint8 [batch, height, width, channels] to float32 [batch, classes].
    """
    model = onnx.ModelProto()
    model.CopyFrom(source)
    pixels = card.input.tensor
    moved = new_names(source, card)
    rename(model.graph, moved)
    fed, output = (moved.get(name, name) for name in (plan.image.tensor, plan.output))
    view, taken = GraphView(source), set(all_names(model.graph))
    before, after = GraphBuilder(view.opset, taken, "before/"), GraphBuilder(view.opset, taken, "after/")
    add_preprocessing(before, pixels, plan.preprocessing, plan.image)
    add_postprocessing(after, output, plan.activation, plan.columns, view.element(plan.output), plan.rank)
    before.nodes[-1].output[0], after.nodes[-1].output[0] = fed, PROBABILITIES
    _enclose(model.graph, before, after)
    _declare_ends(model.graph, card, plan)
    transpose_early(model)
    tidy(model, card)
    return model


def for_one_image(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Declare in place that a completed graph takes one image at a time, and return it."""
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return graph


def new_names(source: onnx.ModelProto, card: ModelCard) -> dict[str, str]:
    """Return the new names of those tensors whose own name the completed file needs."""
    return moved_names(
        source.graph, (card.input.tensor, PROBABILITIES, CLASS_INDEX, HEATMAP, FEATURE_MAP, SCORES)
    )


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
