"""Choices that avoid an operator without a gradient. Each is tried before an error proposes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from spyglass_contract.model.card import HeatmapMethod
from spyglass_export.gradcam.errors import Advice, HeatmapError, UnsupportedHead
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.scores import GradientOf, explained_scores

# A trial may run the network, so only the last tensors of a long head are tried.
_MOST_TRIALS = 6


@dataclass(frozen=True)
class Choices:
    """The arguments of `attach_gradcam` besides the model."""

    feature_map: str | None
    scores: str | None
    method: HeatmapMethod
    gradient_of: GradientOf


# Attaches a heatmap; raises HeatmapError if it cannot.
Attach = Callable[[GraphView, Choices], object]


def tried(error: UnsupportedHead, view: GraphView, chosen: Choices, attach: Attach) -> UnsupportedHead:
    """Return the error with those choices that `attach` accepts for this model, and the tensors to name."""

    def accepts(choices: Choices) -> bool:
        try:
            attach(view, choices)
        except HeatmapError:
            return False
        return True

    node = next(node for node in view.nodes if error.node in (node.name, node.outputs[0]))
    scores = explained_scores(view, chosen.scores, chosen.gradient_of).tensor
    advice, tensors = [], {}
    later = (replace(chosen, feature_map=name) for name in _maps_behind(view, node, scores))
    if (choice := _first(later, accepts)) is not None and choice.feature_map:
        advice.append(Advice.LATER_FEATURE_MAP)
        tensors[Advice.LATER_FEATURE_MAP] = choice.feature_map
    earlier = (replace(chosen, scores=name) for name in _scores_before(view, node, scores))
    if (choice := _first(earlier, accepts)) is not None and choice.scores:
        advice.append(Advice.EARLIER_SCORES)
        tensors[Advice.EARLIER_SCORES] = choice.scores
    if accepts(replace(chosen, method="eigencam")) and accepts(replace(chosen, method="scorecam")):
        advice.append(Advice.NO_GRADIENT)
    return UnsupportedHead(error.problem, *advice, node=error.node, op_type=error.op_type, tensors=tensors)


def _first(choices: Iterable[Choices], accepts: Callable[[Choices], bool]) -> Choices | None:
    for number, choice in enumerate(choices):
        if number == _MOST_TRIALS:
            return None
        if accepts(choice):
            return choice
    return None


def _maps_behind(view: GraphView, node: Node, scores: str) -> Iterator[str]:
    """Tensors from a node's output on with at least two axes above 1 besides the batch, last first."""
    behind, found = set(node.outputs), []
    for each in reversed(view.ancestors(scores)):
        if each is node or behind.intersection(each.inputs):
            behind.update(each.outputs)
            found.append(each.outputs[0])
    for tensor in reversed(found):
        wide = view.is_real(tensor) and sum(size != 1 for size in view.dims(tensor)[1:]) > 1
        if wide and tensor != scores:
            yield tensor


def _scores_before(view: GraphView, node: Node, scores: str) -> Iterator[str]:
    """Inputs of a node that hold as many numbers for each image as the scores, and come from the image."""
    for name in node.inputs:
        computed = name in view.producers and view.is_fed(name) and view.is_real(name)
        if computed and view.dims(name)[1:] == view.dims(scores)[1:] != ():
            yield name
