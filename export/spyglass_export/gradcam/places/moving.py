"""Operators that only move numbers: each runs on the array of places, as on any other array."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spyglass_export.gradcam.places.call import Call, Untraceable

Array = npt.NDArray[Any]
# A function from the data to the outputs.
Move = Callable[[Array], list[Array]]
# The most numbers that a move may copy: 512 MiB of places.
_MOST_COPIED = 1 << 27


def reshape(call: Call) -> Move:
    """Reshape, with 0 for a size that stays."""
    target = [int(size) for size in call.value(1)]
    if not call.node.attribute("allowzero", 0):
        old = call.input(0).shape
        target = [size or old[axis] for axis, size in enumerate(target)]
    return lambda data: [_reshaped(data, target)]


def _reshaped(data: Array, shape: Sequence[int]) -> Array:
    if data.size > _MOST_COPIED:
        raise Untraceable(f"a Reshape may copy {data.size} numbers")
    return data.reshape(shape)


def flatten(call: Call) -> Move:
    """Flatten to two axes."""
    shape = call.input(0).shape
    axis = call.node.attribute("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    rows = int(np.prod(shape[:axis]))
    return lambda data: [_reshaped(data, (rows, -1))]


def squeeze(call: Call) -> Move:
    """Squeeze, by default all axes of size 1."""
    axes = call.integers("axes", 1)
    if axes is None:
        axes = [axis for axis, size in enumerate(call.input(0).shape) if size == 1]
    return lambda data: [np.squeeze(data, tuple(axes))]


def unsqueeze(call: Call) -> Move:
    """Unsqueeze."""
    axes = tuple(call.integers("axes", 1) or ())
    return lambda data: [np.expand_dims(data, axes)]


def transpose(call: Call) -> Move:
    """Transpose, by default all axes reversed."""
    perm = call.node.attribute("perm")
    return lambda data: [np.transpose(data, perm)]


def slice_(call: Call) -> Move:
    """Slice, also backwards."""
    shape = call.input(0).shape
    starts, ends = ([int(bound) for bound in call.value(index)] for index in (1, 2))
    axes = call.integers("axes", 3) or list(range(len(starts)))
    steps = call.integers("steps", 4) or [1] * len(starts)
    index = [slice(None)] * len(shape)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = _bounds(start, end, step, shape[axis])
    return lambda data: [data[tuple(index)]]


def _bounds(start: int, end: int, step: int, size: int) -> slice:
    """ONNX's bounds as numpy's: an end before the first number is -size - 1 there, and None here."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    start, end = (bound + size if bound < 0 else bound for bound in (start, end))
    start, end = min(max(start, 0), high), min(max(end, low), size)
    return slice(start, None if end < 0 else end, step)


def gather(call: Call) -> Move:
    """Gather along one axis."""
    axis, index = call.node.attribute("axis", 0), call.value(1)
    shape = call.input(0).shape
    if math.prod(shape) // shape[axis] * index.size > _MOST_COPIED:
        raise Untraceable(f"{call.node.label} copies more than {_MOST_COPIED} numbers")
    return lambda data: [np.take(data, index, axis)]


def gather_elements(call: Call) -> Move:
    """GatherElements along one axis."""
    axis, index = call.node.attribute("axis", 0), call.value(1)
    where = along(index, axis, call.input(0).shape[axis])
    return lambda data: [data[where]]


def along(index: Array, axis: int, size: int) -> tuple[Array, ...]:
    """Return an index in all axes, of numbers along one axis; `index` may be smaller in the other axes."""
    places: list[Array] = list(np.indices(index.shape, sparse=True))
    places[axis] = np.where(index < 0, index + size, index)
    return tuple(places)


def gather_nd(call: Call) -> Move:
    """GatherND."""
    batches, index = call.node.attribute("batch_dims", 0), call.value(1)

    def move(data: Array) -> list[Array]:
        counts: list[Array] = list(np.indices(data.shape[:batches], sparse=True))
        lead = [each.reshape(each.shape + (1,) * (index.ndim - 1 - batches)) for each in counts]
        tail = [index[..., each] for each in range(index.shape[-1])]
        return [data[(*lead, *tail)]]

    return move


def split(call: Call) -> Move:
    """Split into parts of stated or of equal sizes; the last part may be smaller."""
    axis = call.node.attribute("axis", 0)
    size, parts = call.input(0).shape[axis], len(call.node.outputs)
    sizes = call.integers("split", 1) or [-(-size // parts)] * (parts - 1)
    bounds = np.cumsum(sizes)[: parts - 1]
    return lambda data: list(np.split(data, bounds, axis))


def expand(call: Call) -> Move:
    """Expand to a shape that the data broadcasts to."""
    shape = np.broadcast_shapes(call.input(0).shape, tuple(int(size) for size in call.value(1)))
    return lambda data: [np.broadcast_to(data, shape)]


def tile(call: Call) -> Move:
    """Repeat the data along each axis."""
    repeats = tuple(int(number) for number in call.value(1))
    return lambda data: [np.tile(data, repeats)]


def depth_to_space(call: Call) -> Move:
    """Move blocks of channels to height and width."""
    block = call.node.attribute("blocksize")
    batch, channels, height, width = call.input(0).shape
    depth = channels // block**2
    first = call.node.attribute("mode", "DCR") == "DCR"
    inner = (block, block, depth) if first else (depth, block, block)
    perm = (0, 3, 4, 1, 5, 2) if first else (0, 1, 4, 2, 5, 3)
    return lambda data: [
        data.reshape(batch, *inner, height, width)
        .transpose(perm)
        .reshape(batch, depth, height * block, width * block)
    ]


def space_to_depth(call: Call) -> Move:
    """Move blocks of height and width to channels."""
    block = call.node.attribute("blocksize")
    batch, channels, height, width = call.input(0).shape
    split_up = (batch, channels, height // block, block, width // block, block)
    result = (batch, channels * block**2, height // block, width // block)
    return lambda data: [data.reshape(split_up).transpose(0, 3, 5, 1, 2, 4).reshape(result)]


# Operators with one tensor of data, the first input.
MOVES: dict[str, Callable[[Call], Move]] = {
    "DepthToSpace": depth_to_space,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Reshape": reshape,
    "Slice": slice_,
    "SpaceToDepth": space_to_depth,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
