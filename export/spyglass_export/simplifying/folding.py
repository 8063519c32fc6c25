"""Computed sizes and bounds as constants.

The target of a Reshape that holds the size of the batch stays computed. With all sizes known, ONNX Runtime
moves transpositions to other places, which made EdgeNeXt 6 % slower.
"""

from __future__ import annotations

import math

import onnx

from spyglass_export.simplifying.rewriting import Rewriting

# Constants of more numbers are written only if the node computes even more for a single image.
_SMALL = 1024


def folded(rewriting: Rewriting, node: onnx.NodeProto) -> onnx.NodeProto:
    """Return the node, or a copy that reads constants in place of computed sizes and bounds."""
    if not any(rewriting.reads_images(name) for name in node.input):
        return node
    computed = (index for index, name in enumerate(node.input) if rewriting.reads_sizes(name))
    constants = {index: constant for index in computed if (constant := _folded(rewriting, node, index))}
    if not constants:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, constant in constants.items():
        copy.input[index] = constant
    return copy


def _folded(rewriting: Rewriting, node: onnx.NodeProto, index: int) -> str | None:
    value = rewriting.known.value(node.input[index])
    if value is not None:
        small = value.size <= max(_SMALL, _size_for_one_image(rewriting, node))
        return rewriting.constant(value, value.dtype) if small else None
    if index == 1 and node.op_type == "Expand":
        return _expand_target(rewriting, node)
    return None


def _size_for_one_image(rewriting: Rewriting, node: onnx.NodeProto) -> int:
    rewriting.known.record(node)
    dims = rewriting.known.dims(node.output[0])
    return 0 if dims is None else math.prod(dims[0])


def _expand_target(rewriting: Rewriting, node: onnx.NodeProto) -> str | None:
    """The sizes, with 1 for those that the tensor has already."""
    given, targets = rewriting.known.dims(node.input[0]), rewriting.known.values(node.input[1])
    if given is None or targets is None or {len(each) for each in targets} != {len(given[0])}:
        return None
    target = []
    for axis in range(len(given[0])):
        sizes = [(dims[axis], int(wanted[axis])) for dims, wanted in zip(given, targets, strict=True)]
        if all(size == wanted for size, wanted in sizes):
            target.append(1)
        elif len({wanted for _, wanted in sizes}) == 1:
            target.append(sizes[0][1])
        else:
            return None
    return rewriting.constant(target)
