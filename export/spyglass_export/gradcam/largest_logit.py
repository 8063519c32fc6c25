"""Logits z from which the network subtracts the largest one, z - max(z), so that no exponential overflows.

The difference is left out of the explained score: it is 0 for the predicted class of every image, and so is
its gradient. Any other subtrahend stays, even if it is the same for all classes, as in z - mean(z): a softmax
ignores it, but it is a part of the score that the network computes.
"""

from __future__ import annotations

from spyglass_export.gradcam.class_axis import covers_classes, is_of_classes
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.passing import behind, producer, uniform


def before_maximum(view: GraphView, name: str) -> str:
    """Return z if the tensor `name` is z - max(z) over the classes of each image, otherwise `name`."""
    for logits, subtrahend in _differences(view, producer(view, name)):
        if _is_largest_of(view, subtrahend, behind(view, logits)):
            return logits
    return name


def _differences(view: GraphView, node: Node | None) -> list[tuple[str, str]]:
    """Possible (minuend, subtrahend) pairs of a node: of a - b and of a + (-b)."""
    if node is None or node.op_type not in ("Add", "Sub"):
        return []
    if node.op_type == "Sub":
        return [(node.inputs[0], node.inputs[1])]
    pairs = (node.inputs, node.inputs[::-1])
    negated = [(one, producer(view, other, "Neg")) for one, other in pairs]
    return [(one, each.inputs[0]) for one, each in negated if each is not None]


def _is_largest_of(view: GraphView, name: str, logits: str) -> bool:
    """Return whether a tensor is the largest of the logits of each image, in one of its forms."""
    node = producer(view, name)
    if node is None or node.op_type not in ("GatherElements", "ReduceMax", "TopK"):
        return False
    if behind(view, node.inputs[0]) != logits or not covers_classes(view, node):
        return False
    if node.op_type == "ReduceMax":
        # The largest logit of a whole batch is that of its image too.
        return True
    if node.op_type == "TopK":
        largest = node.attribute("largest", 1) and behind(view, name) == node.outputs[0]
        return bool(largest) and uniform(view, node.inputs[1]) == 1
    index = _index_producer(view, node.inputs[1])
    if index is None or behind(view, index.inputs[0]) != logits or not is_of_classes(view, index):
        return False
    return index.op_type == "ArgMax"


def _index_producer(view: GraphView, name: str) -> Node | None:
    """The node that computes integer indices, past changes of their shape."""
    node = view.producers.get(name)
    while node is not None and node.op_type in ("Cast", "Reshape", "Unsqueeze"):
        node = view.producers.get(node.inputs[0])
    return node if node is not None and node.op_type == "ArgMax" else None
