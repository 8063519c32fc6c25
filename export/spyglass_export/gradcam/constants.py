"""The values of tensors that do not depend on the images: axes, sizes, bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass_export.gradcam.skeleton import is_small
from spyglass_export.gradcam.tensor_types import Dims

# Nodes that depend on no input and still do not have one value.
_RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomUniform"})
# What is put for a size that is not known. A value that comes out the same both times does not hang on it.
_ASSUMED_SIZES = (5, 7)


class Constants:
    """Finds values among small initialisers, and by running the nodes that compute on them and on shapes."""

    def __init__(self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None]) -> None:
        self._evaluations = [_Evaluation(model, dims_of, size) for size in _ASSUMED_SIZES]

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """The value of a tensor, or None where it depends on an input or is a large weight."""
        one, other = (evaluation.value(name) for evaluation in self._evaluations)
        return one if one is not None and other is not None and np.array_equal(one, other) else None


class _Evaluation:
    """Values as they are if every unknown size is `size`."""

    def __init__(self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None], size: int) -> None:
        self._dims_of, self._size = dims_of, size
        self._opsets = list(model.opset_import)
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
        if node is None or node.op_type in _RANDOM or _has_subgraph(node):
            return None
        if node.op_type == "Shape" and not node.attribute:
            return self._shape(node.input[0])
        feeds = {wanted: self.value(wanted) for wanted in node.input if wanted}
        if any(value is None for value in feeds.values()):
            return None
        return _run(node, feeds, name, self._opsets)

    def _shape(self, name: str) -> npt.NDArray[Any] | None:
        dims = self._dims_of(name)
        if dims is None:
            return None
        return np.array([self._size if size is None else size for size in dims], np.int64)


def _has_subgraph(node: onnx.NodeProto) -> bool:
    return any(attribute.type == onnx.AttributeProto.GRAPH for attribute in node.attribute)


def _run(
    node: onnx.NodeProto, feeds: dict[str, Any], name: str, opsets: list[onnx.OperatorSetIdProto]
) -> npt.NDArray[Any]:
    inputs = [
        helper.make_tensor_value_info(key, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for key, value in feeds.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name)]
    graph = helper.make_graph([node], "constant", inputs, outputs)
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
    return np.asarray(evaluator.run([name], feeds)[0])  # type: ignore[index]
