"""Operators that put several tensors, or a tensor and padding, into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spyglass_export.gradcam.places.call import Call
from spyglass_export.gradcam.places.grid import NOWHERE
from spyglass_export.gradcam.places.located import Located, located, mixed
from spyglass_export.gradcam.places.moving import along
from spyglass_export.gradcam.places.traced import Traced, traced_mixed

Array = npt.NDArray[Any]


def concat(call: Call) -> list[Traced]:
    """Concat: each number keeps its place, if all places are of one grid."""
    operands = [operand for operand in call.inputs if operand is not None]
    axis = call.node.attribute("axis", 0)
    alike = _channels_of_one_map(operands, axis)
    return [alike or _joined(operands, lambda parts: np.concatenate(parts, axis))]


def _channels_of_one_map(operands: Sequence[Traced], axis: int) -> Traced | None:
    """The channels of one map after another, without an array for each; None if they are not that."""
    first = operands[0].places
    places = [operand.places for operand in operands]
    if any(operand.others is not None or operand.value is not None for operand in operands):
        return None
    for each in places:
        if each.grid != first.grid or each.base.shape[axis] > 1 or not np.array_equal(each.base, first.base):
            return None
    shape = list(first.shape)
    shape[axis] = sum(each.shape[axis] for each in places)
    of_pixels = all(each.of_pixels for each in places)
    return Traced(Located(first.base, tuple(shape), first.grid, of_pixels))


def scatter_nd(call: Call) -> list[Traced]:
    """ScatterND: the updates overwrite the data at a constant index."""
    index = call.value(1)

    def join(parts: Sequence[Array]) -> Array:
        written = np.array(parts[0])
        written[tuple(np.moveaxis(index, -1, 0))] = parts[1]
        return written

    return _scattered(call, join)


def scatter_elements(call: Call) -> list[Traced]:
    """ScatterElements: the updates overwrite the data at a constant index along one axis."""
    index, axis = call.value(1), call.node.attribute("axis", 0)

    def join(parts: Sequence[Array]) -> Array:
        written = np.array(parts[0])
        written[along(index, axis, written.shape[axis])] = parts[1]
        return written

    return _scattered(call, join)


def _scattered(call: Call, join: Callable[[Sequence[Array]], Array]) -> list[Traced]:
    data, updates = call.input(0), call.input(2)
    if call.node.attribute("reduction", "none") != "none":
        return [traced_mixed(data.shape)]
    return [_joined([data, updates], join)]


def pad(call: Call) -> list[Traced]:
    """Pad: the padding has no place, whatever its numbers are copied from."""
    data = call.input(0)
    widths = [int(width) for width in call.value(1)]
    axes = call.integers("axes", 3) or list(range(len(data.shape)))
    before = dict(zip(axes, widths, strict=False))
    after = dict(zip(axes, widths[len(axes) :], strict=True))

    def move(places: Array) -> Array:
        for axis, size in enumerate(data.shape):
            low, high = before.get(axis, 0), after.get(axis, 0)
            places = np.take(places, np.arange(max(-low, 0), size + min(high, 0)), axis)
        outer = [(max(before.get(axis, 0), 0), max(after.get(axis, 0), 0)) for axis in range(len(data.shape))]
        return np.pad(places, outer, constant_values=NOWHERE)

    return [data.moved(move)]


def _joined(operands: Sequence[Traced], join: Callable[[Sequence[Array]], Array]) -> Traced:
    """The places of the parts, and their values if all are known."""
    values = [operand.value for operand in operands]
    known = [value for value in values if value is not None]
    value = join(known) if len(known) == len(values) else None
    places = _places([operand.places for operand in operands], join)
    if all(operand.others is None for operand in operands):
        return Traced(places, value=value)
    others = [operand.places if operand.others is None else operand.others for operand in operands]
    return Traced(places, _places(others, join))


def _places(parts: Sequence[Located], join: Callable[[Sequence[Array]], Array]) -> Located:
    grids = {part.grid for part in parts} - {None}
    if len(grids) > 1:
        shape = join([np.broadcast_to(np.int8(0), part.shape) for part in parts]).shape
        return mixed(shape)
    of_pixels = all(part.of_pixels for part in parts if part.grid is not None)
    return located(join([part.full for part in parts]), next(iter(grids), None), of_pixels)
