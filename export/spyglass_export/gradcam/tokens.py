"""Detection of tensors of rank 4 that hold tokens instead of height and width, as in attention."""

from __future__ import annotations

from spyglass_export.gradcam.graph_view import GraphView

# The output axes of these operators do not correspond to the axes of their operand.
_REARRANGING = frozenset({"Einsum", "Expand", "Reshape"})


def carries_tokens(view: GraphView, tensor: str) -> bool:
    """Return whether a tensor of rank 4 has the axes of a tensor of tokens, in any order."""
    waiting, seen = [tensor], {tensor}
    while waiting:
        name = waiting.pop()
        if is_of_tokens(view, name):
            return True
        node = view.producers.get(name)
        if node is None or node.op_type in _REARRANGING:
            continue
        earlier = {read for read in node.inputs if view.is_fed(read) and view.rank(read) == 4} - seen
        seen |= earlier
        waiting.extend(earlier)
    return False


def is_of_tokens(view: GraphView, name: str) -> bool:
    """Return whether a tensor of rank 4 is a product of activations, or splits each token into heads."""
    node = view.producers.get(name)
    if node is None:
        return False
    if node.op_type in ("Einsum", "MatMul"):
        return sum(view.is_fed(operand) for operand in node.inputs) > 1
    if node.op_type != "Reshape" or view.rank(node.inputs[0]) != 3:
        return False
    tokens = view.dims(node.inputs[0])[1]
    return tokens is not None and tokens == view.dims(name)[1]
