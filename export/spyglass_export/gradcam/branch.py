"""The heatmap's own branch of the graph, which is run only where a class is asked for.

ONNX Runtime computes every node of a graph, whichever outputs are fetched. So the heatmap lies inside an
`If`: with an empty `class_index` it has no rows and costs nothing, and a caller who wants probabilities
alone pays for nothing else. `class_index` has a default, the predicted class, and may be left out.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from spyglass_contract.card import CLASS_INDEX, HEATMAP
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.tensor_types import Dims


def attach_branch(
    graph: onnx.GraphProto, branch: GraphBuilder, result: str, places: Dims, description: str
) -> None:
    """Adds the input `class_index`, the output `heatmap` [rows, *places], and the branch between them.

    `branch` holds the nodes that compute `result`; they may read any tensor of `graph`.
    """
    outside = GraphBuilder(branch.opset, branch.taken)
    asked = outside.add("Cast", outside.add("Size", CLASS_INDEX), to=TensorProto.BOOL)
    computed = helper.make_graph(branch.nodes, "asked", [], [_map(result, places)], branch.initializers)
    empty = outside.fresh("none")
    nothing = helper.make_graph([_no_rows(empty, places)], "not_asked", [], [_map(empty, places)])
    choice = helper.make_node(
        "If", [asked], [HEATMAP], name=outside.fresh("If"), then_branch=computed, else_branch=nothing
    )
    graph.node.extend([*outside.nodes, choice])
    graph.input.append(_class_index())
    graph.initializer.append(helper.make_tensor(CLASS_INDEX, TensorProto.INT64, [1], [-1]))
    graph.output.append(_map(HEATMAP, places, description))


def _no_rows(name: str, places: Dims) -> onnx.NodeProto:
    shape = [0, *(1 if size is None else size for size in places)]
    zeros = helper.make_tensor(name, TensorProto.FLOAT, shape, [])
    return helper.make_node("Constant", [], [name], name=name, value=zeros)


def _class_index() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        CLASS_INDEX,
        TensorProto.INT64,
        ["asked"],
        "The class to explain in each picture, negative: the predicted one. One number holds for all "
        "pictures, any number may be asked of a single picture; none: no heatmap.",
    )


def _map(name: str, places: Dims, description: str = "") -> onnx.ValueInfoProto:
    names = [size or axis for axis, size in zip(("map_height", "map_width"), places, strict=True)]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["maps", *names], description)
