"""Values of nodes that compute sizes, indices and conditions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]
# Returns the values of all outputs for the values of the inputs; a missing input is None.
Evaluation = Callable[[Sequence[Array | None]], list[Array] | None]

# The arithmetic of sizes and indices. Other operators work on weights.
_COMPUTED = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "ConstantOfShape",
        "CumSum",
        "Div",
        "Equal",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "NonZero",
        "Not",
        "Or",
        "Pow",
        "Range",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
    }
)
# The rounding of these depends on the order of their sums, if they compute real numbers.
_ROUNDED_OTHERWISE = frozenset({"CumSum", "Pow", "Range", "ReduceProd", "ReduceSum"})
# The index of a place in a batch of large images still fits.
LARGEST = 1 << 24


def constant_value(node: onnx.NodeProto) -> Array | None:
    """Return the value of a Constant node, None if it is not a tensor of numbers."""
    (attribute,) = node.attribute
    if attribute.name == "value":
        return numpy_helper.to_array(attribute.t)
    if attribute.name in ("value_int", "value_ints"):
        return np.array(helper.get_attribute_value(attribute), np.int64)
    if attribute.name in ("value_float", "value_floats"):
        return np.array(helper.get_attribute_value(attribute), np.float32)
    return None


def evaluation(node: onnx.NodeProto, opsets: Sequence[onnx.OperatorSetIdProto]) -> Evaluation | None:
    """Return a function that computes a node, None if the node is not arithmetic of sizes and indices."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in _COMPUTED:
        return None
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node],
        "sizes",
        [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names)],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    try:
        evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=list(opsets)))
    # onnx has no implementation of every version of an operator, and raises several exceptions for that.
    except Exception:
        return None

    def run(values: Sequence[Array | None]) -> list[Array] | None:
        feeds = {name: value for name, value in zip(node.input, values, strict=True) if name}
        if node.op_type == "CumSum" and values[1] is not None:
            # ONNX Runtime, and so exporters, also take an axis [1]; the evaluator does not.
            feeds[node.input[1]] = values[1].reshape(())
        try:
            with np.errstate(all="ignore"):
                found = [np.asarray(each) for each in evaluator.run(None, feeds)]
        # The evaluator lets any exception of numpy through, for sizes that do not fit.
        except Exception:
            return None
        if node.op_type in _ROUNDED_OTHERWISE and any(each.dtype.kind == "f" for each in found):
            return None
        return found

    return run
