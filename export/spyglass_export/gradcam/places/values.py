"""Values that do not depend on the image: sizes, axes, indices, scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass_export.gradcam.constants import RANDOM, has_subgraph
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.places.call import Call, Untraceable
from spyglass_export.gradcam.places.moving import MOVES
from spyglass_export.gradcam.places.traced import Traced

Array = npt.NDArray[Any]

# Indices can be as many as the numbers of a map; of other types only scales and the like matter.
_MOST_INDICES = 1 << 24
_MOST_OTHERS = 1024
_INDICES = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)


class Values:
    """Computes the outputs of nodes whose inputs are known."""

    def __init__(self, opset: int) -> None:
        self._opsets = {"": opset}

    def are_kept(self, tensor: onnx.TensorProto) -> bool:
        """Return whether the trace needs the numbers of a weight."""
        most = _MOST_INDICES if tensor.data_type in _INDICES else _MOST_OTHERS
        return math.prod(tensor.dims) <= most and tensor.data_location != onnx.TensorProto.EXTERNAL

    def kept(self, value: Array) -> Array | None:
        """Return a value that the trace may need later, None for any other."""
        indices = value.dtype in (np.int64, np.int32, np.bool_)
        return value if value.size <= (_MOST_INDICES if indices else _MOST_OTHERS) else None

    def of(self, node: Node, proto: onnx.NodeProto, inputs: Sequence[Traced | None]) -> list[Array] | None:
        """Return the outputs of a node, None if they depend on the image or on large weights."""
        if node.op_type == "Constant":
            return [self._evaluated(proto, [])[0]]
        if node.op_type in ("Shape", "Size"):
            return [self._shape(node, inputs)]
        values = [None if each is None else each.value for each in inputs]
        unknown = any(each is not None and each.value is None for each in inputs)
        if not inputs or unknown or node.op_type in RANDOM or has_subgraph(proto):
            return None
        if node.op_type in MOVES and values[0] is not None:
            return MOVES[node.op_type](Call(node, inputs, [False] * len(inputs), self._opsets[""], list))(
                values[0]
            )
        return self._evaluated(proto, values)

    def _shape(self, node: Node, inputs: Sequence[Traced | None]) -> Array:
        assert inputs[0] is not None
        shape = np.array(inputs[0].shape, np.int64)
        if node.op_type == "Size":
            return np.asarray(math.prod(inputs[0].shape), np.int64)
        return shape[node.attribute("start", 0) : node.attribute("end")]

    def _evaluated(self, proto: onnx.NodeProto, values: Sequence[Array | None]) -> list[Array]:
        if proto.op_type == "Constant" and proto.attribute and proto.attribute[0].name == "value":
            return [numpy_helper.to_array(proto.attribute[0].t)]
        feeds = {name: value for name, value in zip(proto.input, values, strict=True) if value is not None}
        try:
            found = ReferenceEvaluator(proto, opsets=self._opsets).run(None, feeds)
        except Exception as error:  # Each operator of the evaluator raises errors of its own kinds.
            raise Untraceable(f"no value of {proto.op_type} node '{proto.name}': {error}") from error
        return [np.asarray(each) for each in found]
