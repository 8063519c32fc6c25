"""Consecutive transpositions as one."""

from __future__ import annotations

import onnx
from onnx import helper

from spyglass_export.simplifying.rewriting import Rewriting


def merged(rewriting: Rewriting, node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the node, or one Transpose or Identity in place of two Transpose nodes."""
    earlier = rewriting.producers.get(node.input[0]) if node.op_type == "Transpose" else None
    if earlier is None or earlier.op_type != "Transpose":
        return node
    first, second = _permutation(earlier), _permutation(node)
    if first is None or second is None:
        return node
    both = [first[axis] for axis in second]
    source, name = earlier.input[0], node.name or node.output[0]
    if both == sorted(both):
        return helper.make_node("Identity", [source], list(node.output), name=name)
    return helper.make_node("Transpose", [source], list(node.output), name=name, perm=both)


def _permutation(node: onnx.NodeProto) -> list[int] | None:
    return next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), None)
