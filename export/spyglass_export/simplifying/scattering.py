"""Tensors that are written into a part of another one, as slices that are joined.

PyTorch writes an assignment to a part of a tensor as ScatterND, with a table of all positions. If the part
is a block, a range or a list along each axis, the same is a Concat along one axis after the other. Unlike
the table, this keeps the batch free.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from spyglass_export.simplifying.evaluation import Array
from spyglass_export.simplifying.positions import Positions, read_positions
from spyglass_export.simplifying.rewriting import Rewriting
from spyglass_export.simplifying.source import EVALUATED, Source, arrangement_of, free_axis
from spyglass_export.simplifying.writing import chain, slice_step, write

_READING_ALIKE = {"ScatterElements": "GatherElements", "ScatterND": "GatherND"}

# The written indices along each axis.
_Block = list[tuple[int, ...]]


def written_into(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    """Replace a node that writes a tensor into a block of another one, and return whether it did.

    The positions must depend on sizes only, be a block, and be written once each.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in _READING_ALIKE or _reduces(node):
        return False
    data, indices, updates = node.input
    fed = [rewriting.reads_images(name) for name in (data, indices, updates)]
    if not (fed[0] or fed[2]) or fed[1]:
        return False
    dims, new_dims = (rewriting.known.dims(name, EVALUATED) for name in (data, updates))
    tables = rewriting.known.values(indices, EVALUATED)
    if dims is None or new_dims is None or tables is None:
        return False
    blocks = [_block(node, *each) for each in zip(dims, tables, strict=True)]
    found = [block for block in blocks if block is not None]
    if len(found) < len(blocks):
        return False
    axes = _partial_axes([block for block, _ in found], dims)
    source = Source(updates, new_dims, [places for _, places in found])
    arrangement = arrangement_of(source) if axes is not None else None
    if axes is None or arrangement is None:
        return False
    result = node.output[0]
    inner = result if not axes else rewriting.fresh(f"{result}/block")
    write(rewriting, source, arrangement, inner)
    _place(rewriting, data, dims[-1], {axis: found[-1][0][axis] for axis in axes}, inner, result)
    return True


def _reduces(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "reduction" and attribute.s != b"none" for attribute in node.attribute)


def _block(node: onnx.NodeProto, dims: tuple[int, ...], table: Array) -> tuple[_Block, Positions] | None:
    """The written indices along each axis, and in their order the places in the flat updates."""
    reading = onnx.NodeProto(op_type=_READING_ALIKE[node.op_type], attribute=node.attribute)
    written = read_positions(reading, dims, table)
    if written is None or not written.size or np.unique(written).size < written.size:
        return None
    block = [tuple(np.unique(each).tolist()) for each in np.unravel_index(written, dims)]
    if np.prod([len(each) for each in block]) != written.size:
        return None
    region = np.arange(np.prod(dims)).reshape(dims)[np.ix_(*block)]
    order = written.ravel().argsort()
    return block, order[np.searchsorted(written.ravel()[order], region)]


def _partial_axes(blocks: Sequence[_Block], dims: Sequence[tuple[int, ...]]) -> list[int] | None:
    """The axes of which a block holds a part, None if that depends on the batch."""
    free = free_axis(dims)
    if len(dims) > 1 and free is None:
        return None
    partial = []
    for axis in range(len(dims[0])):
        whole = [block[axis] == tuple(range(each[axis])) for block, each in zip(blocks, dims, strict=True)]
        if all(whole):
            continue
        if axis == free or len({block[axis] for block in blocks}) > 1:
            return None
        partial.append(axis)
    return partial


def _place(
    rewriting: Rewriting,
    data: str,
    dims: Sequence[int],
    block: dict[int, tuple[int, ...]],
    inner: str,
    result: str,
) -> None:
    """Join the block with what is around it in the data, along the last axis first."""
    axes = list(block)
    while axes:
        axis = axes.pop()
        around = data
        if axes:
            around = rewriting.fresh(f"{result}/around")
            chain(rewriting, data, [slice_step(rewriting, block[each], each) for each in axes], around)
        joined = rewriting.fresh(f"{result}/joined") if axes else result
        _join(rewriting, around, dims[axis], inner, block[axis], axis, joined)
        inner = joined


def _join(
    rewriting: Rewriting,
    around: str,
    size: int,
    inner: str,
    written: tuple[int, ...],
    axis: int,
    result: str,
) -> None:
    """Put a tensor at the indices `written` of an axis of another one."""
    first, behind = written[0], written[-1] + 1
    if behind - first == len(written):
        parts = [(range(first), around), (None, inner), (range(behind, size), around)]
        names = []
        for picked, name in parts:
            if picked is None:
                names.append(name)
            elif picked:
                names.append(rewriting.fresh(f"{result}/part"))
                chain(rewriting, name, [slice_step(rewriting, list(picked), axis)], names[-1])
        rewriting.add("Concat", names, result, axis=axis)
        return
    both = rewriting.add_inner("Concat", [around, inner], f"{result}/both", axis=axis)
    places = np.arange(size)
    places[list(written)] = size + np.arange(len(written))
    rewriting.add("Gather", [both, rewriting.constant(places)], result, axis=axis)
