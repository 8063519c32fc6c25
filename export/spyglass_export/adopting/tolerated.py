"""Irregular files that ONNX Runtime runs, made regular."""

from __future__ import annotations

import onnx

from spyglass_export.simplifying.node_order import all_nodes, reads

# Another name of the standard domain, whose own name is empty.
_STANDARD = "ai.onnx"


def regular(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy of it that onnx accepts, too.

    In the copy the graph has a name, the standard domain has one name, some node reads each input, and the IR
    version allows weights that are not inputs if there are some.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.name = copy.graph.name or "network"
    _name_standard_domain(copy)
    _drop_unread_inputs(copy.graph)
    declared = {value.name for value in copy.graph.input}
    if any(weight.name not in declared for weight in copy.graph.initializer):
        # Before IR version 4 every weight is an input too.
        copy.ir_version = max(copy.ir_version, 4)
    return copy if copy != model else model


def _name_standard_domain(model: onnx.ModelProto) -> None:
    nodes = [*all_nodes(model.graph), *(node for function in model.functions for node in function.node)]
    imports = [*model.opset_import, *(each for function in model.functions for each in function.opset_import)]
    for node in nodes:
        node.domain = "" if node.domain == _STANDARD else node.domain
    for each in imports:
        each.domain = "" if each.domain == _STANDARD else each.domain


def _drop_unread_inputs(graph: onnx.GraphProto) -> None:
    """Remove inputs such as a switch for training, which an exporter left in the file."""
    read = {value.name for value in graph.output}.union(*(reads(node) for node in graph.node))
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in graph.input]
    del graph.input[:]
    graph.input.extend(value for value in kept if value.name in read)
