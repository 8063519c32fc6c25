"""A loop over the requested classes of a single image, for heads whose rows must be the images.

The loop repeats only the nodes that depend on the class. For a batch of several images it runs once, with one
class for each image.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.sizes import Size, Sized, reshape, size_of
from spyglass_export.gradcam.tensor_types import Dims

# Larger than any number of requested classes.
_ALL = 2**31 - 1


def one_class_at_a_time(build: GraphBuilder, image: str, result: str, sizes: Dims) -> str:
    """Move the nodes that compute `result` from the requested classes into a loop over these classes.

    `result` is float32 [rows, *sizes]; `image` is the model's input [batch, …]. In each run of the loop there
    are as many rows as images. Return the rows of all classes, of the same shape.
    """
    inside, before = _split(build.nodes)
    build.nodes[:] = before
    images = build.add("Gather", build.add("Shape", image), build.integers(0), axis=0)
    single = build.add("Equal", images, build.integers(1))
    times = build.add("Where", single, build.add("Size", CLASS_INDEX), build.integers(1))
    span = build.add("Where", single, build.integers([1]), build.integers([_ALL]))
    start = len(build.nodes)
    body = _body(build, inside, span, result)
    del build.nodes[start:]
    always = build.constant(True, bool)
    rows = build.fresh("Loop")
    build.nodes.append(helper.make_node("Loop", [times, always], [rows], name=rows, body=body))
    stacked = Sized(rows, (None, None, *sizes))
    kept: list[Size] = [size_of(build, stacked, axis) for axis in range(2, stacked.rank)]
    return reshape(build, rows, [-1, *kept])


def _split(nodes: list[onnx.NodeProto]) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """The nodes that depend on the requested classes, and the others."""
    depending = {CLASS_INDEX}
    inside, before = [], []
    for node in nodes:
        if depending.intersection(node.input):
            depending.update(node.output)
            inside.append(node)
        else:
            before.append(node)
    return inside, before


def _body(build: GraphBuilder, nodes: list[onnx.NodeProto], span: str, result: str) -> onnx.GraphProto:
    """The graph of one run: the next `span` classes, and the nodes that compute `result` from them."""
    number, going, still = (build.fresh(stem) for stem in ("run", "going", "still_going"))
    start = len(build.nodes)
    first = build.add("Reshape", number, build.integers([1]))
    classes = build.add("Slice", CLASS_INDEX, first, build.add("Add", first, span), build.integers([0]))
    steps = build.nodes[start:]
    for node in nodes:
        node.input[:] = [classes if name == CLASS_INDEX else name for name in node.input]
    steps += [*nodes, helper.make_node("Identity", [going], [still], name=still)]
    inputs = [
        helper.make_tensor_value_info(number, TensorProto.INT64, []),
        helper.make_tensor_value_info(going, TensorProto.BOOL, []),
    ]
    outputs = [
        helper.make_tensor_value_info(still, TensorProto.BOOL, []),
        helper.make_tensor_value_info(result, TensorProto.FLOAT, None),
    ]
    return helper.make_graph(steps, "classes", inputs, outputs)
