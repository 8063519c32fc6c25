"""Values of tensors that do not depend on the images: axes, sizes, bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.probe import probe_values
from spyglass_export.gradcam.skeleton import is_small
from spyglass_export.gradcam.tensor_types import Dims, TensorType, infer_types

# These nodes depend on no input, but their value is random.
RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
# Assumed batches, and heights and widths that are free. A tensor with the same value for both does not depend
# on these sizes.
_ASSUMED_SIZES = ((5, 224), (7, 256))


class Constants:
    """Looks up small initialisers, and runs the nodes that compute on them and on shapes."""

    def __init__(self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None]) -> None:
        self._evaluations = [_Evaluation(model, dims_of, *sizes) for sizes in _ASSUMED_SIZES]

    def value(self, name: str) -> npt.NDArray[Any] | None:
        """Return the value of a tensor, or None if it depends on an input or is a large weight."""
        one, other = (evaluation.value(name) for evaluation in self._evaluations)
        return one if one is not None and other is not None and np.array_equal(one, other) else None


class _Evaluation:
    """Values for `batch` images, whose height and width are `side` if the model leaves them free.

    Other sizes follow from these: by shape inference, or otherwise by a run of the model. The axis of the
    batch of an inner tensor may hold windows or heads as well.
    """

    def __init__(
        self, model: onnx.ModelProto, dims_of: Callable[[str], Dims | None], batch: int, side: int
    ) -> None:
        self._model, self._dims_of, self._batch, self._side = model, dims_of, batch, side
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
            dims = self._dims(node.input[0])
            return self._probed.get(name) if dims is None or None in dims else np.array(dims, np.int64)
        feeds = {needed: self.value(needed) for needed in node.input if needed}
        if any(value is None for value in feeds.values()):
            return None
        return _run(node, feeds, name, self._opsets, self._ir_version)

    def _dims(self, name: str) -> Dims | None:
        """The sizes of a tensor in this evaluation, as far as they can be inferred."""
        dims = self._dims_of(name)
        if dims is None or None not in dims:
            return dims
        found = self._inferred.get(name)
        return dims if found is None or found.dims is None else found.dims

    @cached_property
    def _inferred(self) -> Mapping[str, TensorType]:
        return infer_types(self._model, self._batch)

    @cached_property
    def _probed(self) -> Mapping[str, npt.NDArray[Any]]:
        """The values of all Shape nodes whose value cannot be inferred, empty if the model does not run."""
        shapes = [node for node in self._model.graph.node if node.op_type == "Shape" and not node.attribute]
        dims = {node.output[0]: self._dims(node.input[0]) for node in shapes}
        unknown = [name for name, each in dims.items() if each is None or None in each]
        with suppress(HeatmapError):
            return probe_values(self._model, unknown, self._batch, self._side)
        return {}


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
