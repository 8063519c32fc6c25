"""The final softmax or sigmoid of a classifier, as one operator or spelled out in smaller ones.

Exporters write a softmax as Exp, ReduceSum and Div, and may subtract the maximum first. Networks bound it,
scale it to percent, or take its logarithm. This module finds the logits behind all of these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spyglass_export.gradcam.class_axis import is_of_classes
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.largest_logit import before_maximum
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.passing import before_bounds, behind, producer, uniform


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
        return _softmax_of(view, node.inputs[0]) if is_of_classes(view, node) else None
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
    softmax = node.op_type == "LogSoftmax" and is_of_classes(view, node)
    if softmax or (node.op_type == "Sub" and _is_logarithm_of_sum(view, node.inputs[1], node.inputs[0])):
        return replace(_softmax_of(view, node.inputs[0]), logarithm=True)
    return None


def _softmax_of(view: GraphView, name: str) -> Ending:
    """A softmax of a tensor; for log probabilities, the softmax of the logits behind them.

    The largest logit subtracted from every class is left out, see `before_maximum`.
    """
    inner = _of_logarithms(view, behind(view, name))
    if inner is not None and inner.activation == "Softmax":
        return replace(inner, logarithm=False)
    earlier = before_maximum(view, name)
    return Ending(name, "Softmax") if earlier == name else _softmax_of(view, earlier)


def _of_quotient(view: GraphView, node: Node) -> Ending | None:
    """The ending in the form e^x/Σe^x, a softmax, or 1/(1 + e⁻ˣ) or e^x/(1 + e^x), a sigmoid."""
    for above, below in _quotients(view, node):
        beside = _exponential_beside_1(view, below)
        if above is None or uniform(view, above) == 1:
            negated = None if beside is None else producer(view, beside.inputs[0])
            if negated is not None and negated.op_type == "Neg":
                return Ending(negated.inputs[0], "Sigmoid")
        elif (exponential := producer(view, above, "Exp")) is not None:
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
    reciprocals = [(above, producer(view, other, "Reciprocal")) for above, other in factors]
    return [(above, each.inputs[0]) for above, each in reciprocals if each is not None]


def _exponential_beside_1(view: GraphView, name: str) -> Node | None:
    """The node that computes e^x in 1 + e^x."""
    node = producer(view, name, "Add")
    if node is None:
        return None
    for one, other in (node.inputs, node.inputs[::-1]):
        if uniform(view, one) == 1:
            return producer(view, other, "Exp")
    return None


def _is_sum_of(view: GraphView, name: str, exponential: Node) -> bool:
    """Return whether a tensor is the sum of exponentials over the classes, perhaps with a lower bound."""
    node = producer(view, before_bounds(view, name), "ReduceSum")
    if node is None or not is_of_classes(view, node):
        return False
    return behind(view, node.inputs[0]) == exponential.outputs[0]


def _is_logarithm_of_sum(view: GraphView, name: str, logits: str) -> bool:
    """Return whether a tensor is ln Σe^x of the logits x."""
    node = producer(view, name)
    if node is not None and node.op_type == "ReduceLogSumExp":
        return is_of_classes(view, node) and behind(view, node.inputs[0]) == behind(view, logits)
    if node is None or node.op_type != "Log":
        return False
    summed = producer(view, before_bounds(view, node.inputs[0]), "ReduceSum")
    exponential = None if summed is None else producer(view, summed.inputs[0], "Exp")
    if exponential is None or behind(view, exponential.inputs[0]) != behind(view, logits):
        return False
    return _is_sum_of(view, node.inputs[0], exponential)
