"""The heatmap's own branch of the graph, which is run only where a class is asked for.

ONNX Runtime computes every node of a graph, whichever outputs are fetched. So the heatmap lies inside an
`If`: with an empty `class_index` it has no rows and costs nothing, and a caller who wants probabilities
alone pays for nothing else. `class_index` has a default, the predicted class, and may be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.tensor_types import Dims


@dataclass(frozen=True)
class BranchOutput:
    """An output float32 of the model, `name`, that the branch computes as its tensor `result`.

    `sizes` are None where the graph does not say, and along the first axis, which has no rows where nothing
    is asked; `axes` are what such sizes are called.
    """

    name: str
    result: str
    axes: tuple[str, ...]
    sizes: Dims
    description: str

    def value(self, name: str) -> onnx.ValueInfoProto:
        """The type of this output under a name, which it has in each branch."""
        shape = [size or axis for axis, size in zip(self.axes, self.sizes, strict=True)]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape, self.description)


def attach_branch(graph: onnx.GraphProto, branch: GraphBuilder, outputs: Sequence[BranchOutput]) -> None:
    """Adds the input `class_index`, the `outputs`, and the branch between them.

    `branch` holds the nodes that compute them; those may read any tensor of `graph`.
    """
    outside = GraphBuilder(branch.opset, branch.taken)
    asked = outside.add("Cast", outside.add("Size", CLASS_INDEX), to=TensorProto.BOOL)
    values = [output.value(output.result) for output in outputs]
    computed = helper.make_graph(branch.nodes, "asked", [], values, branch.initializers)
    choice = helper.make_node(
        "If",
        [asked],
        [output.name for output in outputs],
        name=outside.fresh("If"),
        then_branch=computed,
        else_branch=_nothing(outside, outputs),
    )
    graph.node.extend([*outside.nodes, choice])
    graph.input.append(_class_index())
    graph.initializer.append(helper.make_tensor(CLASS_INDEX, TensorProto.INT64, [1], [-1]))
    graph.output.extend(output.value(output.name) for output in outputs)


def _nothing(outside: GraphBuilder, outputs: Sequence[BranchOutput]) -> onnx.GraphProto:
    names = [outside.fresh("none") for _ in outputs]
    nodes = [_no_rows(name, output.sizes[1:]) for name, output in zip(names, outputs, strict=True)]
    values = [output.value(name) for name, output in zip(names, outputs, strict=True)]
    return helper.make_graph(nodes, "not_asked", [], values)


def _no_rows(name: str, sizes: Dims) -> onnx.NodeProto:
    shape = [0, *(1 if size is None else size for size in sizes)]
    zeros = helper.make_tensor(name, TensorProto.FLOAT, shape, [])
    return helper.make_node("Constant", [], [name], name=name, value=zeros)


def _class_index() -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        CLASS_INDEX,
        TensorProto.INT64,
        ["asked"],
        "The class to explain in each image, negative: the predicted one. One number holds for all "
        "images, any number may be asked of a single image; none: no heatmap.",
    )
