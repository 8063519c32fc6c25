"""Sessions of ONNX Runtime in double precision."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.proving.precision import in_precision
from spyglass_export.proving.rounding import without_rounding
from spyglass_export.session_options import session_options

# The operator in ONNX Runtime's messages about a missing implementation, and about a wrong type.
_OPERATOR = re.compile(r"implementation for (\w+)\(|of operator \((\w+)\)")
# ONNX Runtime may compute these by other operators, and then names those.
_BY_OTHERS = frozenset(
    {
        "Attention",
        "Celu",
        "Elu",
        "Gelu",
        "GroupNormalization",
        "HardSigmoid",
        "HardSwish",
        "LayerNormalization",
        "Mish",
        "PRelu",
        "RMSNormalization",
        "Selu",
        "Softplus",
        "Softsign",
        "Swish",
    }
)
# Graphs with more weights run in float32: in double precision they would take gigabytes.
_MOST_NUMBERS = 150_000_000


class PreciseSession:
    """A graph in double precision if ONNX Runtime can run it so, and otherwise in float32.

    Tensors that are quantised and unpacked again are not rounded.
    """

    def __init__(self, graph: onnx.ModelProto) -> None:
        """Raise what ONNX Runtime raises if it can open the graph in neither precision."""
        graph = without_rounding(graph)
        precise = _in_double(graph)
        self._kind: type[np.floating[Any]] = np.float64 if precise else np.float32
        self._session = precise or _open(in_precision(graph, TensorProto.FLOAT))
        self._inputs = {value.name for value in self._session.get_inputs()}
        self._outputs = {value.name for value in self._session.get_outputs()}

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float64]]:
        """Return the named outputs; those that the graph does not have are empty."""
        given = {
            name: values.astype(self._kind) if values.dtype.kind == "f" else values
            for name, values in feeds.items()
            if name in self._inputs
        }
        wanted = [name for name in dict.fromkeys(names) if name in self._outputs]
        # Without names, ONNX Runtime would return all outputs.
        found = self._session.run(wanted, given) if wanted else []
        by_name = dict(zip(wanted, found, strict=True))
        return [np.asarray(by_name.get(name, ()), np.float64) for name in names]


def _in_double(graph: onnx.ModelProto) -> onnxruntime.InferenceSession | None:
    single: set[str] = set()
    if sum(math.prod(tensor.dims) for tensor in graph.graph.initializer) > _MOST_NUMBERS:
        return None
    while True:
        precise = in_precision(graph, TensorProto.DOUBLE, single)
        try:
            return _open(precise)
        # ONNX Runtime's exceptions have no common base class.
        except Exception as error:
            missing = {name for names in _OPERATOR.findall(str(error)) for name in names if name}
            found = _holding(graph, missing - single) - single if missing else set()
            if not found:
                return None
            single |= found


def _holding(graph: onnx.ModelProto, missing: Collection[str]) -> set[str]:
    """Those operators of a graph that are `missing`, or those that may be computed by them."""
    found = {node.op_type for node in graph.graph.node}
    return found.intersection(missing) or found & _BY_OTHERS


def _open(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
