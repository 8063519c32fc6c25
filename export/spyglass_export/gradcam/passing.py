"""Search past operators that keep the order of the class scores."""

from __future__ import annotations

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node

# These operators keep every number, but for its rounding.
TRANSPARENT = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Unsqueeze",
    }
)


def behind(view: GraphView, name: str) -> str:
    """Return the tensor whose numbers `name` repeats, past casts and changes of shape."""
    node = view.producers.get(name)
    while node is not None and node.op_type in TRANSPARENT and view.is_real(node.inputs[0]):
        name = node.inputs[0]
        node = view.producers.get(name)
    return name


def producer(view: GraphView, name: str, op_type: str | None = None) -> Node | None:
    """Return the node that computes a tensor, past casts and changes of shape.

    None if it is not the operator `op_type`.
    """
    node = view.producers.get(behind(view, name))
    return node if node is None or op_type in (None, node.op_type) else None


def before_bounds(view: GraphView, name: str) -> str:
    """Return the tensor whose numbers `name` holds in the same order.

    Constants may bound, scale or shift the numbers. Examples after a softmax are a Clip that keeps the
    logarithm finite, and a factor of 100 for percent.
    """
    name = behind(view, name)
    while (earlier := _bounded(view, view.producers.get(name))) is not None:
        name = behind(view, earlier)
    return name


def _bounded(view: GraphView, node: Node | None) -> str | None:
    """The only operand of a node that is not constant, if the node keeps the order of its numbers."""
    if node is None or node.op_type not in ("Add", "Clip", "Div", "Max", "Min", "Mul", "Sub"):
        return None
    fed = [name for name in node.inputs if view.is_fed(name)]
    constants = [uniform(view, name) for name in node.inputs if name and name not in fed]
    if len(fed) != 1 or None in constants:
        return None
    if node.op_type in ("Div", "Sub") and fed[0] != node.inputs[0]:
        return None
    negative = any(constant is not None and constant <= 0 for constant in constants)
    return None if negative and node.op_type in ("Div", "Mul") else fed[0]


def uniform(view: GraphView, name: str) -> float | None:
    """Return the value of all elements of a constant, None if they differ."""
    value = view.constant(name)
    if value is None or value.size == 0 or not (value == value.flat[0]).all():
        return None
    return float(value.flat[0])
