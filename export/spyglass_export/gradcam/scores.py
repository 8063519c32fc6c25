"""Search for the class scores that a heatmap differentiates, by default the logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from spyglass_contract.model.card import PROBABILITIES
from spyglass_export.gradcam.endings import find_ending
from spyglass_export.gradcam.errors import Advice, ScoresError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.largest_logit import before_maximum
from spyglass_export.gradcam.passing import before_bounds, uniform
from spyglass_export.gradcam.probabilities import are_probabilities
from spyglass_export.gradcam.tensor_types import Dims

GradientOf = Literal["logit", "probability"]


@dataclass(frozen=True)
class Scores:
    """A tensor of class scores, [batch, classes] or with further axes of size 1.

    If the tensor holds one logit for two classes, `logit_of` is the class whose logit it is; the other class
    has the negative. If each class has its own number, `logit_of` is None. `gradient_of` is the kind of the
    numbers, as far as the graph shows it.
    """

    tensor: str
    logit_of: int | None = None
    gradient_of: GradientOf = "logit"


def explained_scores(view: GraphView, name: str | None, gradient_of: GradientOf) -> Scores:
    """Return the class scores that a model's heatmap differentiates.

    `name` is a tensor, or None for the model's output. For the logit, the final softmax or sigmoid is left
    out, see `endings`. If the graph has no known ending but its outputs are probabilities, such as the mean
    of several softmaxes, the scores are those probabilities. Raises ScoresError.
    """
    output = _output(view, name)
    if gradient_of == "probability":
        return _checked(view, Scores(output, gradient_of="probability"))
    if (both := _of_two_classes(view, _before_logarithm(view, output))) is not None:
        return _checked(view, both)
    if (ending := find_ending(view, output)) is not None:
        return _checked(view, Scores(ending.logits))
    if are_probabilities(view, output):
        return _checked(view, Scores(output, gradient_of="probability"))
    return _checked(view, Scores(before_maximum(view, output)))


def _output(view: GraphView, name: str | None) -> str:
    output = _named(view, name) if name is not None else _class_output(view)
    view.settle(view.ancestors(output))
    return output


def _named(view: GraphView, name: str) -> str:
    if name in view.producers:
        return name
    raise ScoresError(f"no node of the model computes the tensor '{name}'; its outputs are {view.outputs}")


def _class_output(view: GraphView) -> str:
    """`probabilities`, or otherwise the only output that can hold one number for each class."""
    if PROBABILITIES in view.outputs:
        return PROBABILITIES
    found = [name for name in view.outputs if name in view.producers and view.is_real(name)]
    found = [name for name in found if (rank := view.rank(name)) is None or _is_flat(view.dims(name), rank)]
    if len(found) == 1:
        return found[0]
    raise ScoresError(
        f"cannot tell which of the outputs {view.outputs} holds the class scores", Advice.NAME_SCORES
    )


def _is_flat(dims: Dims, rank: int) -> bool:
    """Return whether at most one axis besides the batch is larger than 1."""
    return rank >= 1 and sum(size != 1 for size in dims[1:]) <= 1


def _checked(view: GraphView, scores: Scores) -> Scores:
    dims = view.dims(scores.tensor)
    if not view.is_real(scores.tensor) or not _is_flat(dims, len(dims)):
        raise ScoresError(
            f"the class scores must hold one number for each class, but tensor '{scores.tensor}' has the "
            f"shape {dims}"
        )
    return scores


def _before_logarithm(view: GraphView, output: str) -> str:
    node = view.producers.get(before_bounds(view, output))
    return node.inputs[0] if node is not None and node.op_type == "Log" else output


def _of_two_classes(view: GraphView, output: str) -> Scores | None:
    """The logit z of a model whose output is (1 - p, p) or (p, 1 - p) with p = sigmoid(z)."""
    node = view.producers.get(before_bounds(view, output))
    if node is None or node.op_type != "Concat" or len(node.inputs) != 2:
        return None
    first, second = (before_bounds(view, name) for name in node.inputs)
    for logit_of, (complement, probability) in ((1, (first, second)), (0, (second, first))):
        ending = find_ending(view, probability)
        sigmoid = ending is not None and ending.activation == "Sigmoid" and not ending.logarithm
        if ending is not None and sigmoid and _is_complement(view, complement, probability):
            return Scores(ending.logits, logit_of)
    return None


def _is_complement(view: GraphView, name: str, probability: str) -> bool:
    """Return whether a tensor is 1 - p."""
    node = view.producers.get(name)
    if node is None or node.op_type != "Sub" or uniform(view, node.inputs[0]) != 1:
        return False
    return before_bounds(view, node.inputs[1]) == probability
