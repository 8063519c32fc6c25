"""Small graphs of one image input, and a comparison of a graph with its simpler form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.simplifying import simplified

Array = npt.NDArray[Any]


class Draft:
    """A graph that a test builds node by node; its input is `image`, float32 [batch, *dims]."""

    def __init__(self, *dims: int, batch: int | str = "batch", opset: int = 17) -> None:
        self.dims, self.batch, self.opset = dims, batch, opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64, name: str = "") -> str:
        name = name or f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{op_type}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return name

    def size(self, tensor: str, axis: int) -> str:
        """Return a size as a scalar, as exporters compute it."""
        return self.node("Gather", self.node("Shape", tensor), self.weight(axis))

    def per_image(self, local: Array, size: int) -> str:
        """Indices `image * size + local` for each image, as torch's exporter computes a strided view."""
        images = self.node("Range", self.weight(0), self.size("image", 0), self.weight(1))
        starts = self.node("Mul", images, self.weight(size))
        shape = self.weight([-1, *[1] * local.ndim])
        return self.node("Add", self.node("Reshape", starts, shape), self.weight(local[None]))

    def flat(self, tensor: str = "image") -> str:
        return self.node("Reshape", tensor, self.weight([-1]))

    def model(self, *outputs: str) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [self.batch, *self.dims])
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "draft", [image], results, self.weights)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def branch(self, output: str, *nodes: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = ()) -> Any:
        value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        return helper.make_graph(nodes, output, [], [value], weights)


def _run(model: onnx.ModelProto, images: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"image": images})


def _simpler(model: onnx.ModelProto) -> list[str]:
    before = model.SerializeToString()
    simple = simplified(model)
    assert model.SerializeToString() == before
    onnx.shape_inference.infer_shapes(simple, strict_mode=True, data_prop=True)
    first, *dims = model.graph.input[0].type.tensor_type.shape.dim
    for batch in [first.dim_value] if first.dim_value else [1, 3, 4]:
        shape = (batch, *(dim.dim_value for dim in dims))
        images = np.random.default_rng(batch).normal(size=shape).astype(np.float32)
        for expected, found in zip(_run(model, images), _run(simple, images), strict=True):
            np.testing.assert_array_equal(found, expected)
    return [node.op_type for node in simple.graph.node]


@pytest.fixture
def draft() -> type[Draft]:
    return Draft


@pytest.fixture
def simpler() -> Callable[[onnx.ModelProto], list[str]]:
    """Simplify a graph, compare its outputs in ONNX Runtime for several batches, and return its operators."""
    return _simpler
