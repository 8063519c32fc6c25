"""Tensors that are written into a part of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

Simpler = Callable[[onnx.ModelProto], list[str]]
DIMS = (4, 6, 8)
WHOLE = range(100)
# Written channels, rows and columns, and the operators that join them with the rest.
BLOCKS: dict[str, tuple[Sequence[Any], list[str]]] = {
    "first channels": ((range(2), WHOLE, WHOLE), ["Slice", "Concat"]),
    "middle rows": ((WHOLE, range(2, 5), WHOLE), ["Slice", "Slice", "Concat"]),
    "some columns": ((WHOLE, WHOLE, [1, 2, 6]), ["Concat", "Gather"]),
    "a rectangle": ((WHOLE, range(3), range(4)), ["Slice", "Slice", "Concat", "Slice", "Concat"]),
    "a grid": ((WHOLE, [0, 2, 4], [1, 5]), ["Slice", "Concat", "Gather", "Concat", "Gather"]),
    "everything": ((WHOLE, WHOLE, WHOLE), []),
}


def _block(wanted: Sequence[Any]) -> list[list[int]]:
    return [[index for index in each if index < size] for each, size in zip(wanted, DIMS, strict=True)]


def _updates(network: Any, block: Sequence[Sequence[int]]) -> str:
    """A part of the image of the block's size, times two: [batch, channels, rows, columns]."""
    ends = network.weight([len(each) for each in block])
    starts, axes = network.weight([0, 0, 0]), network.weight([1, 2, 3])
    part = network.node("Slice", "image", starts, ends, axes)
    return str(network.node("Mul", part, network.weight(2, np.float32)))


@pytest.mark.parametrize("name", BLOCKS)
def test_a_table_of_all_positions_becomes_joined_slices(name: str, draft: Any, simpler: Simpler) -> None:
    """As torch's older exporter writes an assignment: image, channel, row and column of each number."""
    wanted, operators = BLOCKS[name]
    block = _block(wanted)
    network = draft(*DIMS)
    images = network.node("Range", network.weight(0), network.size("image", 0), network.weight(1))
    grids = np.meshgrid(*block, indexing="ij")
    local = network.weight(np.stack(grids, -1)[None])
    images = network.node("Reshape", images, network.weight([-1, 1, 1, 1, 1]))
    shape = network.node("Concat", network.node("Shape", images), network.weight([]), axis=0)
    sizes = network.weight([len(each) for each in block])
    number = network.node("Slice", shape, network.weight([0]), network.weight([1]))
    full = network.node("Concat", number, sizes, network.weight([1]), axis=0)
    three = network.node("Concat", number, sizes, network.weight([3]), axis=0)
    table = network.node(
        "Concat", network.node("Expand", images, full), network.node("Expand", local, three), axis=-1
    )
    written = network.node("ScatterND", "image", table, _updates(network, block))
    found = simpler(network.model(network.node("Neg", written)))
    assert found == ["Slice", "Mul", "Identity", *operators, "Neg"]


def test_whole_slices_with_the_batch_behind(draft: Any, simpler: Simpler) -> None:
    """As torch's dynamo exporter writes an assignment: the written axis in front, and only its indices."""
    network = draft(*DIMS)
    block = _block((WHOLE, [1, 3, 5], WHOLE))
    data, updates = (
        network.node("Transpose", tensor, perm=[2, 1, 0, 3]) for tensor in ("image", _updates(network, block))
    )
    written = network.node("ScatterND", data, network.weight([[5], [1], [3]]), updates)
    back = network.node("Transpose", written, perm=[2, 1, 0, 3])
    assert "ScatterND" not in simpler(network.model(network.node("Neg", back)))


def test_single_elements_along_an_axis(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    network.opset = 18
    updates = _updates(network, _block((range(2), WHOLE, WHOLE)))
    rows = network.weight([[[[3]], [[0]]]])
    table = network.node("Expand", rows, network.node("Shape", updates))
    written = network.node("ScatterElements", "image", table, updates, axis=1)
    assert "ScatterElements" not in simpler(network.model(network.node("Neg", written)))


@pytest.mark.parametrize(
    ("table", "count", "attributes"),
    [
        ([[1], [1]], 2, {}),
        ([[1], [3]], 2, {"reduction": "add"}),
    ],
)
def test_sums_and_repeated_places_stay(
    table: Any, count: int, attributes: dict[str, str], draft: Any, simpler: Simpler
) -> None:
    network = draft(*DIMS)
    data = network.node("Transpose", "image", perm=[1, 0, 2, 3])
    same = network.node("Slice", data, network.weight([0]), network.weight([1]), network.weight([0]))
    updates = network.node("Concat", *[same] * count, axis=0)
    written = network.node("ScatterND", data, network.weight(table), updates, **attributes)
    assert "ScatterND" in simpler(network.model(network.node("Neg", written)))


def test_pairs_of_rows_and_columns_stay(draft: Any, simpler: Simpler) -> None:
    network = draft(*DIMS)
    data = network.node("Transpose", "image", perm=[2, 3, 0, 1])
    picked = network.node("Flatten", data, axis=2)
    rows = network.node("Slice", picked, network.weight([0]), network.weight([2]), network.weight([0]))
    shape = network.node("Shape", data, start=2)
    updates = network.node("Reshape", rows, network.node("Concat", network.weight([2]), shape, axis=0))
    written = network.node("ScatterND", data, network.weight([[0, 3], [5, 7]]), updates)
    assert "ScatterND" in simpler(network.model(network.node("Neg", written)))
