"""The final softmax or sigmoid of a classifier, as one operator or spelled out in smaller ones.

Exporters write a softmax as Exp, ReduceSum and Div, and may subtract the maximum first. Networks bound it,
scale it to percent, or take its logarithm. This module finds the logits behind all of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.passing import before_bounds, behind, uniform


@dataclass(frozen=True)
class Ending:
    """The last operators of a classifier.

    `activation` computes probabilities from the tensor `logits`; `logarithm` says whether their logarithm
    follows. Constants may bound, scale and shift the numbers in between and after.
    """

    logits: str
    activation: Literal["Softmax", "Sigmoid"]
    logarithm: bool = False


def find_ending(view: GraphView, output: str) -> Ending | None:
    """Return the ending that computes a tensor, None if there is no known one."""
    name = before_bounds(view, output)
    return _of_probabilities(view, name) or _of_logarithms(view, name)


def _of_probabilities(view: GraphView, name: str) -> Ending | None:
    node = view.producers.get(name)
    if node is None:
        return None
    if node.op_type == "Sigmoid":
        return Ending(node.inputs[0], "Sigmoid")
    if node.op_type == "Softmax":
        return _softmax_of(view, node.inputs[0]) if _is_of_classes(view, node) else None
    if node.op_type == "Exp":
        ending = _of_logarithms(view, behind(view, node.inputs[0]))
        return None if ending is None else replace(ending, logarithm=False)
    return _of_quotient(view, node)


def _of_logarithms(view: GraphView, name: str) -> Ending | None:
    node = view.producers.get(name)
    if node is None:
        return None
    if node.op_type == "Log":
        ending = _of_probabilities(view, before_bounds(view, node.inputs[0]))
        return None if ending is None else replace(ending, logarithm=True)
    softmax = node.op_type == "LogSoftmax" and _is_of_classes(view, node)
    if softmax or (node.op_type == "Sub" and _is_logarithm_of_sum(view, node.inputs[1], node.inputs[0])):
        return replace(_softmax_of(view, node.inputs[0]), logarithm=True)
    return None


def _softmax_of(view: GraphView, name: str) -> Ending:
    """A softmax of a tensor; for log probabilities, the softmax of the logits behind them.

    A number subtracted from every class changes no probability, so it is left out. Otherwise the largest
    logit minus itself would have a gradient of 0.
    """
    inner = _of_logarithms(view, behind(view, name))
    if inner is not None and inner.activation == "Softmax":
        return replace(inner, logarithm=False)
    node = _producer(view, name, "Sub")
    if node is not None and _same_for_all_classes(view, *node.inputs):
        return _softmax_of(view, node.inputs[0])
    return Ending(name, "Softmax")


def _same_for_all_classes(view: GraphView, minuend: str, subtrahend: str) -> bool:
    """Return whether a difference has the same subtrahend for every class of an image."""
    if view.rank(minuend) is None or view.rank(minuend) != view.rank(subtrahend):
        return False
    return all(size == 1 for size in view.dims(subtrahend)[1:])


def _of_quotient(view: GraphView, node: Node) -> Ending | None:
    """The ending in the form e^x/Σe^x, a softmax, or 1/(1 + e⁻ˣ) or e^x/(1 + e^x), a sigmoid."""
    for above, below in _quotients(view, node):
        beside = _exponential_beside_1(view, below)
        if above is None or uniform(view, above) == 1:
            negated = None if beside is None else _producer(view, beside.inputs[0])
            if negated is not None and negated.op_type == "Neg":
                return Ending(negated.inputs[0], "Sigmoid")
        elif (exponential := _producer(view, above, "Exp")) is not None:
            if _is_sum_of(view, below, exponential):
                return _softmax_of(view, exponential.inputs[0])
            if beside is exponential:
                return Ending(exponential.inputs[0], "Sigmoid")
    return None


def _quotients(view: GraphView, node: Node) -> list[tuple[str | None, str]]:
    """Possible (numerator, denominator) pairs of a node; None stands for 1."""
    if node.op_type == "Div":
        return [(node.inputs[0], node.inputs[1])]
    if node.op_type == "Reciprocal":
        return [(None, node.inputs[0])]
    if node.op_type != "Mul":
        return []
    factors = (node.inputs, node.inputs[::-1])
    reciprocals = [(above, _producer(view, other, "Reciprocal")) for above, other in factors]
    return [(above, each.inputs[0]) for above, each in reciprocals if each is not None]


def _exponential_beside_1(view: GraphView, name: str) -> Node | None:
    """The node that computes e^x in 1 + e^x."""
    node = _producer(view, name, "Add")
    if node is None:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        if uniform(view, one) == 1:
            return _producer(view, other, "Exp")
    return None


def _is_sum_of(view: GraphView, name: str, exponential: Node) -> bool:
    """Return whether a tensor is the sum of exponentials over the classes, perhaps with a lower bound."""
    node = _producer(view, before_bounds(view, name), "ReduceSum")
    if node is None or not _is_of_classes(view, node):
        return False
    return behind(view, node.inputs[0]) == exponential.outputs[0]


def _is_logarithm_of_sum(view: GraphView, name: str, logits: str) -> bool:
    """Return whether a tensor is ln Σe^x of the logits x."""
    node = _producer(view, name)
    if node is not None and node.op_type == "ReduceLogSumExp":
        return _is_of_classes(view, node) and behind(view, node.inputs[0]) == behind(view, logits)
    if node is None or node.op_type != "Log":
        return False
    summed = _producer(view, before_bounds(view, node.inputs[0]), "ReduceSum")
    exponential = None if summed is None else _producer(view, summed.inputs[0], "Exp")
    if exponential is None or behind(view, exponential.inputs[0]) != behind(view, logits):
        return False
    return _is_sum_of(view, node.inputs[0], exponential)


def _producer(view: GraphView, name: str, op_type: str | None = None) -> Node | None:
    """The node that computes a tensor, past casts and changes of shape; None if it is another operator."""
    node = view.producers.get(behind(view, name))
    return node if node is None or op_type in (None, node.op_type) else None


def _is_of_classes(view: GraphView, node: Node) -> bool:
    """Return whether a node works along the classes of each image, and along no other axis."""
    dims = view.dims(node.inputs[0])
    axes = _axes(view, node, len(dims))
    return 0 not in axes and all(size == 1 or axis in axes for axis, size in enumerate(dims) if axis > 0)


def _axes(view: GraphView, node: Node, rank: int) -> set[int]:
    if node.op_type in ("Softmax", "LogSoftmax"):
        axis = node.attribute("axis", 1 if view.opset < 13 else -1) % rank
        return set(range(axis, rank)) if view.opset < 13 else {axis}
    axes = node.attribute("axes")
    if axes is None and node.input(1):
        axes = view.constant(node.input(1))
    return set(range(rank)) if axes is None else {int(axis) % rank for axis in axes}
