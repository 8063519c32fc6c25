"""The range of real numbers that a quantiser keeps.

A range that starts at 0 acts as a ReLU, and one from 0 to 6 as a ReLU6: the quantiser of ONNX Runtime leaves
such an activation out of the graph before a QuantizeLinear.
"""

from __future__ import annotations

import numpy as np

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.integer_limits import LIMITS, relu6_bound
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.passing import TRANSPARENT, uniform

# The numbers that these operators compute from numbers of at least 0 are at least 0, too.
_KEEPING = frozenset(
    {
        "Add",
        "AveragePool",
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Identity",
        "MaxPool",
        "Mul",
        "QuantizeLinear",
        "ReduceMax",
        "ReduceMean",
        "ReduceSum",
        "Reshape",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
_AT_LEAST_0 = frozenset({"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"})


def starts_at_0(view: GraphView, quantiser: Node) -> bool:
    """Return whether a QuantizeLinear sets negative numbers to 0, and may get negative numbers."""
    return _lowest_is_0(view, quantiser) and not _is_at_least_0(view, quantiser.inputs[0])


def quantisers_of(view: GraphView, scores: str) -> list[Node]:
    """Return the quantisers of class scores themselves, behind every other operator.

    The explained score is the number before them, so that a number outside of their range has a gradient too.
    """
    found = []
    node = view.producers.get(scores)
    while node is not None and node.op_type in TRANSPARENT:
        if node.op_type == "QuantizeLinear":
            found.append(node)
        node = view.producers.get(node.inputs[0])
    return found


def highest_of(view: GraphView, quantiser: Node) -> float | None:
    """Return the number above which a quantiser that starts at 0 acts as a ReLU6, None if it does not."""
    scale = uniform(view, quantiser.inputs[1])
    return None if scale is None else relu6_bound(view.element(quantiser.outputs[0]), scale)


def _lowest_is_0(view: GraphView, node: Node) -> bool:
    """Return whether the lowest integer of a quantiser, or of the way back, stands for 0."""
    integers = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
    limits = LIMITS.get(view.element(integers))
    if limits is None:
        return False
    if not node.input(2):
        return limits[0] == 0
    zero_point = view.constant(node.input(2))
    return zero_point is not None and bool((np.asarray(zero_point, np.int64) == limits[0]).all())


def _is_at_least_0(view: GraphView, name: str) -> bool:
    """Return whether the operators before a tensor show that none of its numbers is negative."""
    waiting, seen = [name], set[str]()
    while waiting:
        tensor = waiting.pop()
        node = view.producers.get(tensor)
        if tensor in seen or (node is not None and node.op_type in _AT_LEAST_0):
            continue
        seen.add(tensor)
        if node is None:
            constant = view.constant(tensor)
            if constant is None or (constant < 0).any():
                return False
            continue
        if node.op_type in ("DequantizeLinear", "QuantizeLinear") and _lowest_is_0(view, node):
            continue
        if node.op_type not in _KEEPING:
            return False
        waiting.extend(read for read in _summands(node) if read)
    return True


def _summands(node: Node) -> tuple[str, ...]:
    """The inputs of a node that its numbers come from, without axes and scales."""
    return node.inputs if node.op_type in ("Add", "Concat", "Mul") else node.inputs[:1]
