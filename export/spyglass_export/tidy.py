"""Puts a converted graph in order: names that callers see, nothing left over, nothing of the machine."""

from __future__ import annotations

import onnx

from spyglass.v1.model_pb2 import ModelCard

BATCH = "batch"


def tidy(model: onnx.ModelProto, card: ModelCard) -> None:
    """Names the graph and its batch dimension, removes unused inputs and doc strings, in place."""
    graph = model.graph
    graph.name = card.name
    model.doc_string = graph.doc_string = ""
    for node in graph.node:
        # tf2onnx may keep the Python stack that made a node, with its paths.
        node.doc_string = ""
    _drop_unused_inputs(graph)
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    # Shapes in between still name the batch dimension as tf2onnx did; whoever needs them infers them anew.
    del graph.value_info[:]


def _drop_unused_inputs(graph: onnx.GraphProto) -> None:
    """Some of Keras's preprocessing layers leave inputs that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.input if value.name in read]
    del graph.input[:]
    graph.input.extend(kept)
