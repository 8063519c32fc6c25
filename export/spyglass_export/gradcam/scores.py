"""Finds the tensor whose gradient a heatmap shows: the class scores, by default the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spyglass_contract.card import PROBABILITIES
from spyglass_export.gradcam.errors import ScoresError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.tensor_types import Dims

GradientOf = Literal["logit", "probability"]

# Operators behind which the same scores stand in the same order.
_TRANSPARENT = frozenset(
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


@dataclass(frozen=True)
class Scores:
    """A tensor of class scores, [batch, classes] or with further axes of size 1.

    `logit_of` is the class that the tensor speaks for where it holds one number for two classes; the other
    class has its negative. It is None where each class has its own number.
    """

    tensor: str
    logit_of: int | None = None


def find_scores(view: GraphView, name: str | None, gradient_of: GradientOf) -> Scores:
    """The class scores of a model: behind its class output, or behind the tensor `name`.

    For the logit, a final Softmax, LogSoftmax or Sigmoid is left off. Raises ScoresError.
    """
    output = _named(view, name) if name is not None else _class_output(view)
    view.settle(view.ancestors(output))
    if gradient_of == "probability":
        return _checked(view, Scores(output))
    return _checked(view, _two_class_logit(view, output) or Scores(_without_final_activation(view, output)))


def _named(view: GraphView, name: str) -> str:
    if name in view.producers:
        return name
    raise ScoresError(f"no node of the model computes a tensor '{name}'; its outputs are {view.outputs}")


def _class_output(view: GraphView) -> str:
    """`probabilities`, or else the only output that can hold one number for each class."""
    if PROBABILITIES in view.outputs:
        return PROBABILITIES
    found = [name for name in view.outputs if name in view.producers and view.is_real(name)]
    found = [name for name in found if (rank := view.rank(name)) is None or _is_flat(view.dims(name), rank)]
    if len(found) == 1:
        return found[0]
    raise ScoresError(f"which of the outputs {view.outputs} holds the class scores? Name it with scores=…")


def _is_flat(dims: Dims, rank: int) -> bool:
    """Whether at most one axis beside the batch is above 1."""
    return rank >= 1 and sum(size != 1 for size in dims[1:]) <= 1


def _checked(view: GraphView, scores: Scores) -> Scores:
    dims = view.dims(scores.tensor)
    if not view.is_real(scores.tensor) or not _is_flat(dims, len(dims)):
        raise ScoresError(f"tensor '{scores.tensor}' of shape {dims} does not hold one number for each class")
    return scores


def _without_final_activation(view: GraphView, output: str) -> str:
    name = _behind(view, output)
    node = view.producers.get(name)
    if node is not None and (node.op_type == "Sigmoid" or _is_class_softmax(view, node)):
        return node.inputs[0]
    return output


def _behind(view: GraphView, name: str) -> str:
    """The tensor that `name` repeats, past casts and changes of shape."""
    node = view.producers.get(name)
    while node is not None and node.op_type in _TRANSPARENT and view.is_real(node.inputs[0]):
        name = node.inputs[0]
        node = view.producers.get(name)
    return name


def _is_class_softmax(view: GraphView, node: Node) -> bool:
    if node.op_type not in ("Softmax", "LogSoftmax"):
        return False
    dims = view.dims(node.inputs[0])
    axis = node.attribute("axis", 1 if view.opset < 13 else -1) % len(dims)
    return axis > 0 and all(size == 1 for place, size in enumerate(dims) if place not in (0, axis))


def _two_class_logit(view: GraphView, output: str) -> Scores | None:
    """The logit z of a model that answers (1 - p, p) or (p, 1 - p) with p = sigmoid(z)."""
    node = view.producers.get(_behind(view, output))
    if node is None or node.op_type != "Concat" or len(node.inputs) != 2:
        return None
    first, second = (_behind(view, name) for name in node.inputs)
    for logit_of, (complement, probability) in ((1, (first, second)), (0, (second, first))):
        producer = view.producers.get(probability)
        if producer is not None and producer.op_type == "Sigmoid" and _is_rest(view, complement, probability):
            return Scores(producer.inputs[0], logit_of)
    return None


def _is_rest(view: GraphView, name: str, probability: str) -> bool:
    """Whether a tensor is 1 - p."""
    node = view.producers.get(name)
    if node is None or node.op_type != "Sub" or _behind(view, node.inputs[1]) != probability:
        return False
    one = view.constant(node.inputs[0])
    return one is not None and bool((one == 1).all())
