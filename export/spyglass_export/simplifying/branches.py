"""The chosen branch of an If node, in place of the node."""

from __future__ import annotations

from collections.abc import Mapping, MutableSequence

import numpy as np
import onnx
from onnx import helper

from spyglass_export.simplifying.node_order import inner_graphs
from spyglass_export.simplifying.rewriting import Rewriting


def chosen_branch(rewriting: Rewriting, node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    """Return the nodes of the branch that an If node always takes, in order; None if that is not settled.

    The condition is settled if it is the same for every batch size that the graph allows. The tensors of the
    branch keep their names if no other tensor of the model has them. The branch's weights move to the graph.
    """
    condition = rewriting.known.value_in_file(node.input[0])
    if condition is None or condition.size != 1:
        return None
    wanted = "then_branch" if bool(np.reshape(condition, ())) else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == wanted)
    if branch.sparse_initializer:
        return None
    return _inlined(rewriting, branch, node.output)


def _inlined(
    rewriting: Rewriting, branch: onnx.GraphProto, outputs: MutableSequence[str]
) -> list[onnx.NodeProto]:
    names = _new_names(rewriting, branch)
    computed = {name for node in branch.node for name in node.output}
    copies = []
    for value, output in zip(branch.output, outputs, strict=True):
        if output and value.name in computed and names.get(value.name) not in outputs:
            names[value.name] = output
        elif output:
            copies.append((value.name, output))
    for tensor in branch.initializer:
        weight = onnx.TensorProto()
        weight.CopyFrom(tensor)
        weight.name = names.get(tensor.name, tensor.name)
        rewriting.add_weight(weight)
    nodes = [renamed(node, names) for node in branch.node]
    for name, output in copies:
        nodes.append(helper.make_node("Identity", [names.get(name, name)], [output], name=output))
    return nodes


def _new_names(rewriting: Rewriting, branch: onnx.GraphProto) -> dict[str, str]:
    """New names for the tensors of the branch that share theirs with another tensor of the model."""
    own = [name for node in branch.node for name in node.output if name]
    own += [tensor.name for tensor in branch.initializer]
    return {name: rewriting.fresh(name) for name in own if rewriting.named[name] > 1}


def renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """Return a copy of a node, and of the graphs inside it, whose tensors have new names."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    _rename(copy, names)
    return copy


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for found in (node.input, node.output):
        for index, name in enumerate(found):
            found[index] = names.get(name, name)
    for inner in inner_graphs(node):
        for value in inner.output:
            value.name = names.get(value.name, value.name)
        for each in inner.node:
            _rename(each, names)
