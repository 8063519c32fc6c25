"""Values of tensors that do not depend on the images: axes, sizes, bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam.skeleton import is_small
from spyglass_export.gradcam.tensor_types import Dims

# These nodes depend on no input, but their value is random.
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
# Assumed values of an unknown size. A tensor with the same value for both does not depend on that size.
_ASSUMED_SIZES = (5, 7)


class Constants:
    """Looks up small initialisers, and runs the nodes that compute on them and on shapes."""

    def __init__(self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None]) -> None:
        self._evaluations = [_Evaluation(model, dims_of, size) for size in _ASSUMED_SIZES]

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the value of a tensor, or None if it depends on an input or is a large weight."""
        one, other = (evaluation.value(name) for evaluation in self._evaluations)
        return one if one is not None and other is not None and np.array_equal(one, other) else None


class _Evaluation:
    """Values under the assumption that every unknown size is `size`."""

    def __init__(self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None], size: int) -> None:
        self._dims_of, self._size = dims_of, size
        self._opsets, self._ir_version = list(model.opset_import), model.ir_version
        inputs = {value.name for value in model.graph.input}
        self._values: dict[str, npt.NDArray[Any] | None] = dict.fromkeys(inputs)
        for tensor in model.graph.initializer:
            if tensor.name not in inputs:
                self._values[tensor.name] = numpy_helper.to_array(tensor) if is_small(tensor) else None
        self._producers: Mapping[str, onnx.NodeProto] = {
            output: node for node in model.graph.node for output in node.output
        }

    def value(self, name: str) -> npt.NDArray[Any] | None:
        if name not in self._values:
            self._values[name] = None
            self._values[name] = self._compute(name)
        return self._values[name]

    def _compute(self, name: str) -> npt.NDArray[Any] | None:
        node = self._producers.get(name)
        if node is None or node.op_type in RANDOM or has_subgraph(node):
            return None
        if node.op_type == "Shape" and not node.attribute:
            return self._shape(node.input[0])
        feeds = {needed: self.value(needed) for needed in node.input if needed}
        if any(value is None for value in feeds.values()):
            return None
        return _run(node, feeds, name, self._opsets, self._ir_version)

    def _shape(self, name: str) -> npt.NDArray[Any] | None:
        dims = self._dims_of(name)
        if dims is None:
            return None
        return np.array([self._size if size is None else size for size in dims], np.int64)


def has_subgraph(node: onnx.NodeProto) -> bool:
    """Return whether a node runs a graph of its own, such as the branches of an If."""
    return any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)


def _run(
    node: onnx.NodeProto,
    feeds: dict[str, Any],
    name: str,
    opsets: list[onnx.OperatorSetIdProto],
    ir_version: int,
) -> npt.NDArray[Any] | None:
    """Return the value of a node's output, None if no evaluator has the operator or the sizes do not fit."""
    inputs = [
        helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for key, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name)]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    # onnx lacks old versions of some operators, and those of ONNX Runtime.
    for evaluate in (_in_onnx, _in_onnx_runtime):
        # Both raise any exception for sizes that do not fit, which an assumed size can cause.
        with suppress(Exception):
            return np.asarray(evaluate(model, feeds)[0])
    return None


def _in_onnx(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    return ReferenceEvaluator(model).run(None, feeds)


def _in_onnx_runtime(model: onnx.ModelProto, feeds: dict[str, Any]) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    return session.run(None, feeds)
