"""Detection of outputs that are probabilities, by the operators that compute them."""

from __future__ import annotations

from spyglass_export.gradcam.endings import find_ending
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.passing import behind, uniform

_BETWEEN_0_AND_1 = frozenset({"HardSigmoid", "Sigmoid", "Softmax"})
# Of probabilities and constants, these operators compute probabilities again, and not scores with weights.
_COMBINING = frozenset(
    {
        "Add",
        "AveragePool",
        "Clip",
        "Concat",
        "Div",
        "Gather",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mul",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Slice",
        "Sub",
        "Sum",
        "Transpose",
    }
)


# With constants, these keep a number between two bounds.
_BOUNDING = frozenset({"Clip", "Max", "Min"})


def unscaled(view: GraphView, name: str) -> tuple[str, bool]:
    """Return the tensor whose numbers `name` holds but for rounding and bounds, and whether it rounds them.

    Casts, quantisers and changes of shape lie between, and bounds that are constant.
    """
    rounds, last = False, ""
    while name != last:
        last = name
        node = view.producers.get(name)
        while node is not None and name != behind(view, name):
            rounds = rounds or node.op_type == "QuantizeLinear"
            name = node.inputs[0]
            node = view.producers.get(name)
        if node is not None and node.op_type in _BOUNDING:
            fed = [each for each in node.inputs if view.is_fed(each)]
            bounds = [uniform(view, each) for each in node.inputs if each and each not in fed]
            name = fed[0] if len(fed) == 1 and None not in bounds else name
    return name, rounds


def are_probabilities(view: GraphView, name: str) -> bool:
    """Return whether a tensor combines softmaxes, sigmoids and constants only, or is their logarithm."""
    waiting, seen = [name], set[str]()
    while waiting:
        tensor = behind(view, waiting.pop())
        node = view.producers.get(tensor)
        if node is None:
            return False
        if tensor in seen or node.op_type in _BETWEEN_0_AND_1 or find_ending(view, tensor) is not None:
            continue
        if node.op_type not in _COMBINING:
            return False
        seen.add(tensor)
        waiting.extend(read for read in node.inputs if view.is_fed(read))
    return True
