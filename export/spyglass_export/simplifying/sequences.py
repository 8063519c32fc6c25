"""Sequences of tensors whose members are known: the members themselves take their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import helper

from spyglass_export.simplifying.rewriting import Rewriting


def unrolled(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    """Replace a node that reads members of a known sequence, and return whether it did.

    For a node that makes a sequence, remember the members, and return False: another node may need the
    sequence itself.
    """
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in _MAKING:
        members = _MAKING[node.op_type](rewriting, node)
        if members is not None:
            rewriting.sequences[node.output[0]] = members
        return False
    if node.op_type in _READING and node.input[0] in rewriting.sequences:
        return _READING[node.op_type](rewriting, node)
    return False


def _empty(rewriting: Rewriting, node: onnx.NodeProto) -> list[str]:
    return []


def _construct(rewriting: Rewriting, node: onnx.NodeProto) -> list[str]:
    return list(node.input)


def _same(rewriting: Rewriting, node: onnx.NodeProto) -> list[str] | None:
    return rewriting.sequences.get(node.input[0])


def _insert(rewriting: Rewriting, node: onnx.NodeProto) -> list[str] | None:
    members = rewriting.sequences.get(node.input[0])
    if members is None:
        return None
    place = _position(rewriting, node, 2, len(members)) if _given(node, 2) else len(members)
    return None if place is None else [*members[:place], node.input[1], *members[place:]]


def _erase(rewriting: Rewriting, node: onnx.NodeProto) -> list[str] | None:
    members = rewriting.sequences.get(node.input[0])
    if not members:
        return None
    place = _position(rewriting, node, 1, len(members)) if _given(node, 1) else len(members) - 1
    if place is None or place == len(members):
        return None
    return [*members[:place], *members[place + 1 :]]


def _split(rewriting: Rewriting, node: onnx.NodeProto) -> list[str] | None:
    """Add a Split; without stated sizes each member has size 1, and drops the axis if `keepdims` is 0."""
    dims = rewriting.known.dims(node.input[0])
    if dims is None:
        return None
    axis = int(_attribute(node, "axis", 0)) % len(dims[0])
    whole = {each[axis] for each in dims}
    sizes = _sizes(rewriting, node, whole.pop()) if len(whole) == 1 else None
    if not sizes:
        return None
    parts = [rewriting.fresh(f"{node.output[0]}/part") for _ in sizes]
    if rewriting.in_opset(13):
        split = helper.make_node("Split", [node.input[0], rewriting.constant(sizes)], parts, axis=axis)
    else:
        split = helper.make_node("Split", [node.input[0]], parts, axis=axis, split=sizes)
    split.name = parts[0]
    rewriting.emit(split)
    if _given(node, 1) or _attribute(node, "keepdims", 1):
        return parts
    return [_with_axes(rewriting, "Squeeze", part, axis) for part in parts]


def _sizes(rewriting: Rewriting, node: onnx.NodeProto, whole: int) -> list[int] | None:
    if not _given(node, 1):
        return [1] * whole
    stated = rewriting.known.value(node.input[1])
    if stated is None or (stated <= 0).any():
        return None
    if stated.ndim:
        return stated.tolist() if stated.sum() == whole else None
    each = int(stated)
    return [min(each, whole - start) for start in range(0, whole, each)]


def _at(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    members = rewriting.sequences[node.input[0]]
    place = _position(rewriting, node, 1, len(members))
    if place is None or place == len(members):
        return False
    rewriting.add("Identity", [members[place]], node.output[0])
    return True


def _length(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    count = np.array(len(rewriting.sequences[node.input[0]]), np.int64)
    rewriting.add("Constant", [], node.output[0], value=onnx.numpy_helper.from_array(count))
    return True


def _concatenate(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    members, axis = rewriting.sequences[node.input[0]], int(_attribute(node, "axis", 0))
    if not members:
        return False
    if _attribute(node, "new_axis", 0):
        members = [_with_axes(rewriting, "Unsqueeze", member, axis) for member in members]
    rewriting.add("Concat", members, node.output[0], axis=axis)
    return True


def _with_axes(rewriting: Rewriting, op_type: str, tensor: str, axis: int) -> str:
    """Squeeze or Unsqueeze, whose axes are an input since opset 13."""
    stem = f"{tensor}/{op_type}"
    if rewriting.in_opset(13):
        return rewriting.add_inner(op_type, [tensor, rewriting.constant([axis])], stem)
    return rewriting.add_inner(op_type, [tensor], stem, axes=[axis])


def _position(rewriting: Rewriting, node: onnx.NodeProto, index: int, count: int) -> int | None:
    """The constant position in a sequence of `count` members; a negative one counts from the end."""
    stated = rewriting.known.value(node.input[index])
    if stated is None or stated.size != 1:
        return None
    place = int(stated.item())
    place += count if place < 0 else 0
    return place if 0 <= place <= count else None


def _given(node: onnx.NodeProto, index: int) -> bool:
    return len(node.input) > index and bool(node.input[index])


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


_MAKING: Mapping[str, Callable[[Rewriting, onnx.NodeProto], list[str] | None]] = {
    "Identity": _same,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _empty,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SplitToSequence": _split,
}
_READING: Mapping[str, Callable[[Rewriting, onnx.NodeProto], bool]] = {
    "ConcatFromSequence": _concatenate,
    "SequenceAt": _at,
    "SequenceLength": _length,
}
