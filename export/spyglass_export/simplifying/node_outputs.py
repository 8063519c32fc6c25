"""What is known about the outputs of a node, from what is known about its inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import defs, numpy_helper, shape_inference

from spyglass_export.simplifying.evaluation import LARGEST, Array, constant_value, evaluation
from spyglass_export.simplifying.known import NOTHING, Dims, Known, of_value

# The output of these operators can be larger than all of their inputs.
_GROWING = frozenset({"ConstantOfShape", "Expand", "EyeLike", "Range", "Tile"})
# Larger values are never sizes or bounds, which shape inference reads.
_READ_BY_INFERENCE = 64


class NodeOutputs:
    """Types of the outputs of a node, and their values if they depend on sizes only."""

    def __init__(
        self, node: onnx.NodeProto, opsets: list[onnx.OperatorSetIdProto], versions: dict[str, int]
    ) -> None:
        self._node, self._opsets = node, opsets
        self._standard = node.domain in ("", "ai.onnx")
        self._has_graph = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        self._schema = _schema(node, versions)
        self._evaluation = evaluation(node, opsets) if not self._has_graph else None

    def of(self, inputs: Sequence[Known]) -> list[Known]:
        """Return what is known about each output."""
        types = self._types(inputs)
        # A table of all places of a large tensor would not fit into memory.
        if any(_may_be_too_large(known, self._node) for known in types):
            return types
        values = self._values(inputs)
        return types if values is None else [of_value(value) for value in values]

    def _values(self, inputs: Sequence[Known]) -> list[Array] | None:
        node = self._node
        if self._standard and node.op_type == "Constant":
            value = constant_value(node)
            return None if value is None else [value]
        if self._standard and node.op_type in ("Shape", "Size"):
            return _shape(node, inputs[0].dims)
        if self._evaluation is None:
            return None
        given = [known.value for known in inputs]
        if any(value is None for name, value in zip(node.input, given, strict=True) if name):
            return None
        return self._evaluation(given)

    def _types(self, inputs: Sequence[Known]) -> list[Known]:
        node = self._node
        nothing = [NOTHING] * len(node.output)
        types = {name: known.type for name, known in zip(node.input, inputs, strict=True) if name}
        given = {name: kind for name, kind in types.items() if kind is not None}
        if self._schema is None or self._has_graph or len(given) < len(types):
            return nothing
        data = {
            name: numpy_helper.from_array(known.value)
            for name, known in zip(node.input, inputs, strict=True)
            if name and known.value is not None and known.value.size <= _READ_BY_INFERENCE
        }
        try:
            found = shape_inference.infer_node_outputs(
                self._schema, node, given, data, opset_imports=self._opsets
            )
        # The sizes do not fit, or the node is not valid.
        except Exception:
            return nothing
        return [Known(found[name]) if name in found else NOTHING for name in node.output]


def _may_be_too_large(known: Known, node: onnx.NodeProto) -> bool:
    dims = known.dims
    if dims is None or None in dims:
        return node.op_type in _GROWING
    return math.prod(size or 0 for size in dims) > LARGEST


def _schema(node: onnx.NodeProto, versions: dict[str, int]) -> defs.OpSchema | None:
    version = versions.get(node.domain or "ai.onnx")
    domain = "" if node.domain == "ai.onnx" else node.domain
    if version is None or not defs.has(node.op_type, domain):
        return None
    try:
        return defs.get_schema(node.op_type, version, domain)
    except defs.SchemaError:
        return None


def _shape(node: onnx.NodeProto, dims: Dims | None) -> list[Array] | None:
    if dims is None:
        return None
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    chosen = dims[bounds.get("start", 0) : bounds.get("end", len(dims))]
    if None in chosen:
        return None
    sizes = np.array(chosen, np.int64)
    return [sizes if node.op_type == "Shape" else np.array(sizes.prod(), np.int64)]
