"""Gather nodes with computed positions, as slices, reshapes and transpositions that keep the batch free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx

from spyglass_export.simplifying.arrangement import Arrangement, find_arrangement, folded_dims, joined_axes
from spyglass_export.simplifying.positions import INDEXING, Positions, read_positions
from spyglass_export.simplifying.rewriting import Rewriting

# These keep the order of all numbers.
_REFOLDING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_BEFORE_ANY = int(np.iinfo(np.int64).min)
# Positions are evaluated for batches of 1, 2 and 3 only: index tensors can be large.
_EVALUATED = 3


# The operator, the inputs behind the first, and the attributes of a node in a chain.
_Step = tuple[str, list[str], dict[str, list[int] | int]]


@dataclass(frozen=True)
class _Source:
    """A tensor that a node reads, for each assumed batch: its shape, and the places that the node reads."""

    name: str
    dims: Sequence[tuple[int, ...]]
    positions: Sequence[Positions]

    @property
    def free(self) -> int | None:
        """The axis that the batch makes longer, None if there is none."""
        return _free_axis(self.dims)

    @property
    def result(self) -> list[tuple[int, ...]]:
        """The shape of the result for each batch."""
        return [each.shape for each in self.positions]


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
    for source in (*moved, *same):
        found = _arrangement(source)
        if found is not None:
            _write(rewriting, source, found, result)
            return True
    if any(_joined(rewriting, source, result) for source in (*moved, *same)):
        return True
    return _refolded(rewriting, same[-1], result) or _picked(rewriting, same[-1], result)


def _is_list(rewriting: Rewriting, node: onnx.NodeProto) -> bool:
    indices = rewriting.known.value(node.input[1])
    return node.op_type == "Gather" and indices is not None and indices.ndim < 2


def _source(rewriting: Rewriting, node: onnx.NodeProto, data: str, indices: str) -> _Source | None:
    dims, values = rewriting.known.dims(data), rewriting.known.values(indices)
    if dims is None or values is None:
        return None
    positions = []
    for shape, value in zip(dims[:_EVALUATED], values, strict=False):
        found = read_positions(node, shape, value)
        if found is None or found.size == 0:
            return None
        positions.append(found)
    source = _Source(data, dims[:_EVALUATED], positions)
    free = len(positions) == 1 or _free_axis(source.result) is not None
    return source if free else None


def _free_axis(dims: Sequence[tuple[int, ...]]) -> int | None:
    """The only axis whose size differs between batches, if it grows with them."""
    if len({len(each) for each in dims}) != 1:
        return None
    changing = [axis for axis, sizes in enumerate(zip(*dims, strict=True)) if len(set(sizes)) > 1]
    if len(changing) != 1:
        return None
    sizes = [each[changing[0]] for each in dims]
    grows = all(size == sizes[0] * (index + 1) for index, size in enumerate(sizes))
    return changing[0] if grows else None


def _same_order(rewriting: Rewriting, source: _Source) -> Iterator[_Source]:
    """The tensor, and the tensors of which it is another shape: their axes may show more."""
    yield source
    name = source.name
    while (producer := rewriting.producers.get(name)) is not None and producer.op_type in _REFOLDING:
        name = producer.input[0]
        dims = rewriting.known.dims(name)
        if dims is None:
            return
        yield _Source(name, dims[: len(source.dims)], source.positions)


def _moved_back(rewriting: Rewriting, source: _Source) -> Iterator[_Source]:
    """The tensor of which a Transpose moved the axes that the node addresses to the front.

    Exporters write this around a GatherND, and move the axes back behind it.
    """
    producer = rewriting.producers.get(source.name)
    if producer is None or producer.op_type != "Transpose":
        return
    dims = rewriting.known.dims(producer.input[0])
    if dims is None or source.free == 0:
        return
    perm = next((list(attribute.ints) for attribute in producer.attribute), None)
    moved = [np.arange(np.prod(each)).reshape(each).transpose(perm).ravel() for each in dims]
    positions = [places[each] for places, each in zip(moved, source.positions, strict=False)]
    yield _Source(producer.input[0], dims[: len(positions)], positions)


def _arrangement(source: _Source) -> Arrangement | None:
    """The arrangement that holds for every batch.

    None if there is none, and if its indices are more than the numbers of an image.
    """
    found = find_arrangement(source.positions[-1], source.dims[-1])
    if found is None or sum(len(picks or ()) for picks in found.picks) > prod(source.dims[0]):
        return None
    free, changing = source.free, _free_axis(source.result)
    if len(source.dims) > 1 and (free is None or found.picks[free] is not None):
        return None
    # A flat tensor also holds the batch in front; but a tensor that shows its axes is the better source.
    if changing is not None and free is not None and found.axes[free] != (changing,):
        return None
    for dims, positions in zip(source.dims, source.positions, strict=True):
        rebuilt = found.positions(dims, positions.shape)
        if rebuilt is None or not np.array_equal(rebuilt, positions):
            return None
    return found


def _write(
    rewriting: Rewriting, source: _Source, found: Arrangement, result: str, before: Sequence[_Step] = ()
) -> None:
    """Write an arrangement as slices, at most one Reshape, and at most one Transpose, behind other steps."""
    steps = list(before)
    sizes = list(source.dims[-1])
    for axis, picks in enumerate(found.picks):
        if picks is not None:
            steps.append(_slice(rewriting, picks, axis))
            sizes[axis] = len(picks)
    final = source.result[-1]
    order = _order(found, len(final))
    free = _free_axis(source.result)
    target = [final[axis] for axis in order]
    if target != sizes:
        shape = [-1 if axis == free else final[axis] for axis in order]
        steps.append(("Reshape", [rewriting.constant(shape)], {}))
    if order != sorted(order):
        steps.append(("Transpose", [], {"perm": [order.index(axis) for axis in range(len(final))]}))
    _chain(rewriting, source.name, steps, result)


def _order(found: Arrangement, rank: int) -> list[int]:
    """Axes of the result in the order of the source's axes; those of size 1 that none fills do not move."""
    filled = [axis for each in found.axes for axis in each]
    if filled == sorted(filled):
        return list(range(rank))
    return [*filled, *(axis for axis in range(rank) if axis not in filled)]


def _slice(rewriting: Rewriting, picks: Sequence[int], axis: int) -> _Step:
    """A Slice if the indices are evenly spaced, otherwise a Gather."""
    steps = set(np.diff(picks).tolist()) or {1}
    step = steps.pop()
    if steps or step == 0:
        return "Gather", [rewriting.constant(picks)], {"axis": axis}
    end = picks[-1] + (1 if step > 0 else -1)
    bounds = [[picks[0]], [end if end >= 0 else _BEFORE_ANY], [axis], [step]]
    return "Slice", [rewriting.constant(bound) for bound in bounds], {}


def _chain(rewriting: Rewriting, source: str, steps: Sequence[_Step], result: str) -> None:
    """Add nodes one behind the other, the last of which returns `result`."""
    name = source
    for index, (op_type, inputs, attributes) in enumerate(steps or [("Identity", [], {})]):
        last = index == max(len(steps), 1) - 1
        output = result if last else rewriting.fresh(f"{result}/{op_type}")
        name = rewriting.add(op_type, [name, *inputs], output, **attributes)


def _joined(rewriting: Rewriting, source: _Source, result: str) -> bool:
    """Replace a node that addresses places by pairs of coordinates: rows and columns become one axis."""
    free = source.free
    if free is None:
        return False
    groups = joined_axes(source.positions[-1], source.dims[-1], free)
    if len(groups) == len(source.dims[-1]):
        return False
    shapes = [tuple(prod(dims[axis] for axis in group) for group in groups) for dims in source.dims]
    joined = _Source(source.name, shapes, source.positions)
    found = _arrangement(joined)
    if found is None:
        return False
    target = [-1 if axis == joined.free else size for axis, size in enumerate(shapes[0])]
    _write(rewriting, joined, found, result, [("Reshape", [rewriting.constant(target)], {})])
    return True


def _refolded(rewriting: Rewriting, source: _Source, result: str) -> bool:
    """Replace a node that transposes axes that the flat tensor does not show."""
    local = _local(source)
    if local is None:
        return False
    places, size = local
    folded = folded_dims(places, size)
    if folded is None:
        return False
    images = range(1, len(source.dims) + 1)
    virtual = _Source(source.name, [(count, *folded) for count in images], source.positions)
    found = _arrangement(virtual)
    if found is None:
        return False
    _write(rewriting, virtual, found, result, [("Reshape", [rewriting.constant([-1, *folded])], {})])
    return True


def _picked(rewriting: Rewriting, source: _Source, result: str) -> bool:
    """Replace a node by a Gather of each image's own numbers, at constant places."""
    local = _local(source)
    if local is None or local[0].size > local[1]:
        return False
    places, size = local
    rest = [-1, *source.result[0][1:]]
    steps: list[_Step] = [
        ("Reshape", [rewriting.constant([-1, size])], {}),
        ("Gather", [rewriting.constant(places.ravel())], {"axis": 1}),
        ("Reshape", [rewriting.constant(rest)], {}),
    ]
    _chain(rewriting, source.name, steps, result)
    return True


def _local(source: _Source) -> tuple[Positions, int] | None:
    """The places within an image, the same for each image, and how many numbers an image has.

    None unless the result holds the images one behind the other, and so does the tensor.
    """
    if len(source.dims) == 1 or _free_axis(source.result) != 0:
        return None
    size = int(np.prod(source.dims[0]))
    places = source.positions[0]
    for index, positions in enumerate(source.positions):
        images = np.arange(index + 1).reshape(-1, *[1] * places.ndim)
        expected = (images * size + places).reshape(positions.shape)
        if np.prod(source.dims[index]) != size * (index + 1) or not np.array_equal(expected, positions):
            return None
    return places, size
