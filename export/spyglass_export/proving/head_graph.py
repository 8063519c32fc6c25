"""The part of a model file behind its feature map as a graph of its own, with the heatmap's gradient."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from spyglass_contract.model.card import HEATMAP
from spyglass_export.gradcam.record import GradientRecord, read_record
from spyglass_export.simplifying.node_order import needed_for


def gradient_record(model: onnx.ModelProto) -> GradientRecord | None:
    """Return the record of the gradient in a model file, None if its heatmap needs no gradient."""
    branch = _branch(model.graph)
    return None if branch is None else read_record(branch.doc_string)


def part_of(
    model: onnx.ModelProto, outputs: Sequence[str], fed: str | None = None, shape: Sequence[int] = ()
) -> onnx.ModelProto:
    """Return a graph of the nodes that compute `outputs`; those of the heatmap's branch are not inside an If.

    The tensor `fed` becomes an input of this `shape`, float32. If the branch has a Loop over the classes,
    its nodes run once, for the first class.
    """
    nodes, weights = _flat(model.graph)
    if fed is not None:
        nodes = [_without_output(node, fed) for node in nodes]
    needed, read = needed_for(outputs, nodes)
    graph = onnx.GraphProto(name="part", node=needed)
    graph.initializer.extend(tensor for tensor in weights if tensor.name in read)
    stored = {tensor.name for tensor in graph.initializer}
    graph.input.extend(value for value in model.graph.input if value.name in read - stored)
    if fed is not None:
        graph.input.append(helper.make_tensor_value_info(fed, TensorProto.FLOAT, shape))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, graph=graph)


def _branch(graph: onnx.GraphProto) -> onnx.GraphProto | None:
    for node in graph.node:
        if HEATMAP in node.output and node.op_type == "If":
            return next(each.g for each in node.attribute if each.name == "then_branch")
    return None


def _flat(graph: onnx.GraphProto) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and weights of a graph, of its heatmap's branch, and of one run of each loop in the branch.

    All of them have names of their own. The requested class is an input, not a weight.
    """
    nodes = [node for node in graph.node if HEATMAP not in node.output]
    fed = {value.name for value in graph.input}
    weights = [tensor for tensor in graph.initializer if tensor.name not in fed]
    if (branch := _branch(graph)) is None:
        return nodes, weights
    nodes.extend(branch.node)
    weights.extend(branch.initializer)
    for loop in branch.node:
        if loop.op_type == "Loop":
            body = loop.attribute[0].g
            number, going = (value.name for value in body.input[:2])
            weights.append(helper.make_tensor(number, TensorProto.INT64, [], [0]))
            weights.append(helper.make_tensor(going, TensorProto.BOOL, [], [True]))
            weights.extend(body.initializer)
            nodes.extend(body.node)
    return nodes, weights


def _without_output(node: onnx.NodeProto, name: str) -> onnx.NodeProto:
    if name not in node.output:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.output[:] = [f"{each} as computed" if each == name else each for each in node.output]
    return copy
