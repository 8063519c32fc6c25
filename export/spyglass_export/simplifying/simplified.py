"""A simpler form of a network, equal in all its outputs for any number of images."""

from __future__ import annotations

from collections import Counter, deque

import onnx

from spyglass_export.simplifying.branches import chosen_branch
from spyglass_export.simplifying.folding import folded
from spyglass_export.simplifying.indexing import rearranged
from spyglass_export.simplifying.node_order import copied, in_order, needed_for, reads
from spyglass_export.simplifying.rewriting import Rewriting
from spyglass_export.simplifying.scattering import written_into
from spyglass_export.simplifying.sequences import unrolled
from spyglass_export.simplifying.standard_form import standard_form
from spyglass_export.simplifying.transposes import merged

# A graph without any of these has nothing to simplify.
_OCCASIONS = frozenset(
    {
        "Gather",
        "GatherElements",
        "GatherND",
        "If",
        "ScatterElements",
        "ScatterND",
        "SequenceConstruct",
        "SequenceEmpty",
        "Shape",
        "Size",
        "SplitToSequence",
    }
)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy of equal outputs in a simpler form.

    - Functions are inlined, weights are constant, and nodes are in topological order.
    - The branch that an If always takes replaces it, if its condition is constant or settled by sizes.
    - The members of a sequence of tensors replace it, if they are known.
    - Slices, reshapes and transpositions replace a Gather by positions that sizes settle.
    - Slices that are joined replace a tensor that is written into a block of another one.
    - Constants replace the sizes and bounds that the graph computes.

    The size of the batch stays as it is declared. What depends on it counts as settled only if it is the same
    for every assumed size. All tensors that stay keep their names. Raises ModelError if nodes read each other
    in a circle.
    """
    ordered = in_order(standard_form(model))
    if not any(node.op_type in _OCCASIONS for node in ordered.graph.node):
        return ordered
    copy = onnx.ModelProto()
    copy.CopyFrom(ordered)
    _replace_nodes(copy.graph, _rewritten(ordered))
    return copy


def _rewritten(model: onnx.ModelProto) -> Rewriting:
    rewriting = Rewriting(model)
    waiting = deque(model.graph.node)
    readers = Counter(name for node in waiting for name in reads(node))
    while waiting:
        node = waiting.popleft()
        branch = chosen_branch(rewriting, node) if node.op_type == "If" else None
        if branch is not None:
            readers.update(name for inner in branch for name in reads(inner))
            waiting.extendleft(reversed(branch))
        elif not any(replaced(rewriting, node) for replaced in (unrolled, rearranged, written_into)):
            rewriting.emit(folded(rewriting, merged(rewriting, node)))
        for name in reads(node):
            readers[name] -= 1
            if not readers[name]:
                rewriting.known.forget_value(name)
    return rewriting


def _replace_nodes(graph: onnx.GraphProto, rewriting: Rewriting) -> None:
    """Put the new nodes into the graph in place, without those that only replaced ones read."""
    outputs = [value.name for value in graph.output]
    _, needed = needed_for(outputs, graph.node)
    unneeded = {name for node in graph.node for name in node.output if name} - needed
    kept, still = needed_for([*outputs, *unneeded], rewriting.nodes)
    nodes = [copied(node) for node in kept]
    weights = [tensor for tensor in graph.initializer if tensor.name in still or tensor.name not in needed]
    weights = [copied(tensor) for tensor in weights]
    weights += [tensor for tensor in rewriting.initializers if tensor.name in still]
    computed = {name for node in nodes for name in node.output}
    infos = [copied(value) for value in graph.value_info if value.name in computed]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights)
    graph.value_info.extend(infos)
