"""The heatmap's own branch of the graph, which runs only for requested classes.

ONNX Runtime computes every node of a graph, whichever outputs a caller fetches. So the heatmap is inside an
`If` node: with an empty `class_index` it has no rows and costs nothing. `class_index` is optional; its
default is the predicted class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.tensor_types import Dims
from spyglass_export.simplifying.node_order import captured


@dataclass(frozen=True)
class BranchOutput:
    """A float32 output `name` of the model, which the branch computes as its tensor `result`.

    A size in `sizes` is None if the graph does not state it. The first size is always None: that axis has a
    row for each requested class. `axes` holds the names of the dimensions of unknown size.
    """

    name: str
    result: str
    axes: tuple[str, ...]
    sizes: Dims
    description: str

    def value(self, name: str) -> onnx.ValueInfoProto:
        """Return the type of this output for a tensor `name`; each branch uses its own name."""
        shape = [size or axis for axis, size in zip(self.axes, self.sizes, strict=True)]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape, self.description)


def attach_branch(graph: onnx.GraphProto, branch: GraphBuilder, outputs: Sequence[BranchOutput]) -> None:
    """Add the input `class_index`, the `outputs`, and the branch between them to `graph`.

    `branch` holds the nodes that compute the outputs; they may read any tensor of `graph`.
    """
    _drop_unread(branch, [output.result for output in outputs])
    _copy_quantised(graph, branch)
    outside = GraphBuilder(branch.opset, branch.taken)
    requested = outside.add("Cast", outside.add("Size", CLASS_INDEX), to=TensorProto.BOOL)
    values = [output.value(output.result) for output in outputs]
    computed = helper.make_graph(branch.nodes, "requested", [], values, branch.initializers)
    computed.doc_string = branch.description
    choice = helper.make_node(
        "If",
        [requested],
        [output.name for output in outputs],
        name=outside.fresh("If"),
        then_branch=computed,
        else_branch=_empty(outside, outputs),
    )
    graph.node.extend([*outside.nodes, choice])
    graph.input.append(_class_index())
    graph.initializer.append(helper.make_tensor(CLASS_INDEX, TensorProto.INT64, [1], [-1]))
    graph.output.extend(output.value(output.name) for output in outputs)


def _drop_unread(branch: GraphBuilder, results: Sequence[str]) -> None:
    """Drop the nodes and constants that no result needs.

    A rule may read a tensor for its sizes alone. ONNX Runtime would compute such a node, and could not fuse
    the operators around the tensor.
    """
    read = set(results)
    kept = []
    for node in reversed(branch.nodes):
        if read.intersection(node.output):
            read |= {*node.input, *captured(node)}
            kept.append(node)
    branch.nodes[:] = reversed(kept)
    branch.initializers[:] = [constant for constant in branch.initializers if constant.name in read]


def _copy_quantised(graph: onnx.GraphProto, branch: GraphBuilder) -> None:
    """Give the branch its own copies of the quantised weights that it reads, and of their scales.

    ONNX Runtime fuses a product with the DequantizeLinear of its weight only if nothing else reads the weight
    or its scale. Without the fusion the classes differ from those of the original file, and cost more.
    """
    unpacked = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.input}
    read = {name for node in branch.nodes for name in node.input}
    copies = {}
    for weight in graph.initializer:
        if weight.name in unpacked & read:
            copy = onnx.TensorProto()
            copy.CopyFrom(weight)
            copies[weight.name] = copy.name = branch.fresh("weight")
            branch.initializers.append(copy)
    for node in branch.nodes:
        node.input[:] = [copies.get(name, name) for name in node.input]


def _empty(outside: GraphBuilder, outputs: Sequence[BranchOutput]) -> onnx.GraphProto:
    names = [outside.fresh("none") for _ in outputs]
    nodes = [_no_rows(name, output.sizes[1:]) for name, output in zip(names, outputs, strict=True)]
    values = [output.value(name) for name, output in zip(names, outputs, strict=True)]
    return helper.make_graph(nodes, "not_requested", [], values)


def _no_rows(name: str, sizes: Dims) -> onnx.NodeProto:
    shape = [0, *(1 if size is None else size for size in sizes)]
    zeros = helper.make_tensor(name, TensorProto.FLOAT, shape, [])
    return helper.make_node("Constant", [], [name], name=name, value=zeros)


def _class_index() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        CLASS_INDEX,
        TensorProto.INT64,
        ["requested"],
        "The class to explain in each image; a negative index is the predicted class. One index applies to "
        "all images. A single image takes any number of indices. No index: no heatmap.",
    )
