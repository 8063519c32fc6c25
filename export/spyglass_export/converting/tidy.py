"""Cleanup of a converted graph: public names, no unused inputs, no paths of the machine."""

from __future__ import annotations

import onnx

from spyglass.v1.model_pb2 import ModelCard

BATCH = "batch"


def tidy(model: onnx.ModelProto, card: ModelCard) -> None:
    """Name the graph and its batch dimension, and remove unused inputs and doc strings, in place."""
    graph = model.graph
    graph.name = card.name
    model.doc_string = graph.doc_string = ""
    for node in graph.node:
        # tf2onnx may store the Python stack trace that made a node, with paths of the machine.
        node.doc_string = ""
    _drop_unused_inputs(graph)
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    # Declared shapes of inner tensors still use tf2onnx's name of the batch; shape inference restores them.
    del graph.value_info[:]


def _drop_unused_inputs(graph: onnx.GraphProto) -> None:
    """Some preprocessing layers of Keras leave inputs that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.input if value.name in read]
    del graph.input[:]
    graph.input.extend(kept)
