"""Gather nodes with computed positions, as slices, reshapes and transpositions that keep the batch free."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import onnx

from spyglass_export.simplifying.arrangement import folded_dims, joined_axes
from spyglass_export.simplifying.positions import INDEXING, Positions, read_positions
from spyglass_export.simplifying.rewriting import Rewriting
from spyglass_export.simplifying.source import EVALUATED, Source, arrangement_of, free_axis
from spyglass_export.simplifying.writing import Step, chain, write

# These keep the order of all numbers.
_REFOLDING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def rearranged(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    """Replace a node that reads a tensor at computed places by simpler ones, and return whether it did.

    The places must depend on sizes only, and be the same within each image of a batch. A Gather of a list of
    constant indices stays as it is.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in INDEXING:
        return False
    data, indices, result = node.input[0], node.input[1], node.output[0]
    if not rewriting.reads_images(data) or rewriting.reads_images(indices) or _is_list(rewriting, node):
        return False
    whole = _source(rewriting, node, data, indices)
    if whole is None:
        return False
    moved, same = list(_moved_back(rewriting, whole)), list(_same_order(rewriting, whole))
    last = same[-1]
    if len(whole.dims) == 1:
        # A flat tensor of one image does not show that the batch is in front.
        same = [source for source in same if len(source.dims[0]) > 1]
    for source in (*moved, *same):
        found = arrangement_of(source)
        if found is not None:
            write(rewriting, source, found, result)
            return True
    if any(_joined(rewriting, source, result) for source in (*moved, *same)):
        return True
    return _refolded(rewriting, last, result) or _picked(rewriting, last, result)


def _is_list(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    indices = rewriting.known.value(node.input[1])
    return node.op_type == "Gather" and indices is not None and indices.ndim < 2


def _source(rewriting: Rewriting, node: onnx.NodeProto, data: str, indices: str) -> Source | None:
    found = _assumed(rewriting, node, data, indices, EVALUATED)
    if found is None and not rewriting.known.batch_is_free:
        # The places are written into the file for its own batch only.
        return _assumed(rewriting, node, data, indices, 1)
    return found


def _assumed(
    rewriting: Rewriting, node: onnx.NodeProto, data: str, indices: str, count: int
) -> Source | None:
    """The data and its places for the first `count` assumed batches."""
    dims, values = rewriting.known.dims(data, count), rewriting.known.values(indices, count)
    if dims is None or values is None:
        return None
    positions = []
    for shape, value in zip(dims, values, strict=True):
        found = read_positions(node, shape, value)
        if found is None or found.size == 0:
            return None
        positions.append(found)
    source = Source(data, dims, positions)
    free = len(positions) == 1 or free_axis(source.result) is not None
    return source if free else None


def _same_order(rewriting: Rewriting, source: Source) -> Iterator[Source]:
    """The tensor, and the tensors of which it is another shape: their axes may show more."""
    yield source
    name = source.name
    while (producer := rewriting.producers.get(name)) is not None and producer.op_type in _REFOLDING:
        name = producer.input[0]
        dims = rewriting.known.dims(name, len(source.dims))
        if dims is None:
            return
        yield Source(name, dims, source.positions)


def _moved_back(rewriting: Rewriting, source: Source) -> Iterator[Source]:
    """The tensor of which a Transpose moved the axes that the node addresses to the front.

    Exporters write this around a GatherND, and move the axes back behind it.
    """
    producer = rewriting.producers.get(source.name)
    if producer is None or producer.op_type != "Transpose":
        return
    dims = rewriting.known.dims(producer.input[0], len(source.dims))
    if dims is None or source.free == 0:
        return
    perm = next((list(attribute.ints) for attribute in producer.attribute), None)
    moved = [np.arange(np.prod(each)).reshape(each).transpose(perm).ravel() for each in dims]
    positions = [places[each] for places, each in zip(moved, source.positions, strict=True)]
    yield Source(producer.input[0], dims, positions)


def _joined(rewriting: Rewriting, source: Source, result: str) -> bool:
    """Replace a node that addresses places by pairs of coordinates: rows and columns become one axis."""
    free = source.free
    if free is None:
        return False
    groups = joined_axes(source.positions[-1], source.dims[-1], free)
    if len(groups) == len(source.dims[-1]):
        return False
    shapes = [tuple(prod(dims[axis] for axis in group) for group in groups) for dims in source.dims]
    joined = Source(source.name, shapes, source.positions)
    found = arrangement_of(joined)
    if found is None:
        return False
    target = [-1 if axis == joined.free else size for axis, size in enumerate(shapes[0])]
    write(rewriting, joined, found, result, [("Reshape", [rewriting.constant(target)], {})])
    return True


def _refolded(rewriting: Rewriting, source: Source, result: str) -> bool:
    """Replace a node that transposes axes that the flat tensor does not show."""
    local = _local(source)
    if local is None:
        return False
    places, size = local
    folded = folded_dims(places, size)
    if folded is None:
        return False
    images = range(1, len(source.dims) + 1)
    virtual = Source(source.name, [(count, *folded) for count in images], source.positions)
    found = arrangement_of(virtual)
    if found is None:
        return False
    write(rewriting, virtual, found, result, [("Reshape", [rewriting.constant([-1, *folded])], {})])
    return True


def _picked(rewriting: Rewriting, source: Source, result: str) -> bool:
    """Replace a node by a Gather of each image's own numbers, at constant places."""
    local = _local(source)
    if local is None or local[0].size > local[1]:
        return False
    places, size = local
    rest = [-1, *source.result[0][1:]]
    steps: list[Step] = [
        ("Reshape", [rewriting.constant([-1, size])], {}),
        ("Gather", [rewriting.constant(places.ravel())], {"axis": 1}),
        ("Reshape", [rewriting.constant(rest)], {}),
    ]
    chain(rewriting, source.name, steps, result)
    return True


def _local(source: Source) -> tuple[Positions, int] | None:
    """The places within an image, the same for each image, and how many numbers an image has.

    None unless the result holds the images one behind the other, and so does the tensor.
    """
    in_front = free_axis(source.result) == 0 if len(source.dims) > 1 else source.result[0][0] == 1
    if not in_front:
        return None
    size = int(np.prod(source.dims[0]))
    places = source.positions[0]
    for index, positions in enumerate(source.positions):
        images = np.arange(index + 1).reshape(-1, *[1] * places.ndim)
        expected = (images * size + places).reshape(positions.shape)
        if np.prod(source.dims[index]) != size * (index + 1) or not np.array_equal(expected, positions):
            return None
    return places, size
