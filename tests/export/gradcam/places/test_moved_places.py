"""ONNX Runtime moves an image that holds its own places as the trace moves the places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.places.grid import NOWHERE
from spyglass_export.gradcam.places.tracing import trace

Build = Callable[[Any], str]
_FAR = 2**62


def _pad(net: Any, *widths: int, axes: tuple[int, ...] = ()) -> str:
    inputs = ["image", net.integers(*widths), net.weight(float(NOWHERE))]
    if axes:
        inputs.append(net.integers(*axes))
    return str(net.node("Pad", *inputs))


def _slice(net: Any, *bounds: tuple[int, ...]) -> str:
    return str(net.node("Slice", "image", *(net.integers(*each) for each in bounds)))


def _scattered(net: Any) -> str:
    index = np.stack(np.meshgrid(range(2), [2, 0], [1], indexing="ij"), axis=-1)
    updates = net.node("Slice", "image", net.integers(0), net.integers(1), net.integers(1))
    rows = net.node("Reshape", updates, net.integers(2, 2, 1, 12))
    return str(
        net.node(
            "ScatterND", net.node("Reshape", "image", net.integers(2, 3, 2, 12)), net.integers_of(index), rows
        )
    )


_BUILDS: dict[str, Build] = {
    "reshape with a copied size": lambda net: net.node("Reshape", "image", net.integers(0, 6, -1)),
    "reshape over the batch": lambda net: net.node("Reshape", "image", net.integers(4, -1)),
    "flatten": lambda net: net.node("Flatten", "image", axis=-2),
    "squeeze all": lambda net: net.node("Squeeze", net.node("Unsqueeze", "image", net.integers(0, -1))),
    "squeeze some": lambda net: net.node(
        "Squeeze", net.node("Unsqueeze", "image", net.integers(1, 3)), net.integers(-3)
    ),
    "transpose": lambda net: net.node("Transpose", "image", perm=[2, 0, 3, 1]),
    "transpose without an order": lambda net: net.node("Transpose", "image"),
    "slice with steps": lambda net: _slice(net, (1, -4), (_FAR, -1), (2, 3), (2, 2)),
    "slice backwards": lambda net: _slice(net, (-1, 4), (-_FAR, 1), (2, -1), (-1, -2)),
    "slice backwards from behind the end": lambda net: _slice(net, (99,), (-5,), (3,), (-3,)),
    "slice without axes": lambda net: _slice(net, (0, 1), (2, 3)),
    "gather": lambda net: net.node("Gather", "image", net.integers(3, -1, 0, 0), axis=-2),
    "gather one": lambda net: net.node("Gather", "image", net.weight(2, np.int64), axis=3),
    "gather elements": lambda net: net.node(
        "GatherElements", "image", net.integers_of(np.arange(36).reshape(2, 3, 2, 3) % 6 - 2), axis=3
    ),
    "gather nd": lambda net: net.node("GatherND", "image", net.integers_of([[0, 1], [1, 2], [1, -1]])),
    "gather nd in batches": lambda net: net.node(
        "GatherND", "image", net.integers_of([[[0, 3]], [[2, 1]]]), batch_dims=1
    ),
    "split": lambda net: net.many("Split", ["image", net.integers(1, 5)], 2, axis=3)[1],
    "split in equal parts": lambda net: net.many("Split", ["image"], 2, axis=2)[1],
    "concat": lambda net: net.node("Concat", "image", _slice(net, (-1,), (-9,), (2,), (-1,)), axis=2),
    "concat on channels": lambda net: net.node("Concat", "image", "image", axis=1),
    "pad": lambda net: _pad(net, 0, 0, 1, 2, 0, 0, 0, 3),
    "pad and crop": lambda net: _pad(net, 0, 0, -1, 2, 0, 0, 1, -2),
    "expand": lambda net: net.node(
        "Expand", net.node("Unsqueeze", "image", net.integers(3)), net.integers(1, 1, 4, 2, 1)
    ),
    "tile": lambda net: net.node("Tile", "image", net.integers(1, 2, 1, 3)),
    "space to depth": lambda net: net.node("SpaceToDepth", "image", blocksize=2),
    "depth to space": lambda net: net.node(
        "DepthToSpace", net.node("Reshape", "image", net.integers(2, 12, 2, 3)), blocksize=2
    ),
    "depth to space by columns": lambda net: net.node(
        "DepthToSpace", net.node("Reshape", "image", net.integers(2, 12, 2, 3)), blocksize=2, mode="CRD"
    ),
    "scatter": _scattered,
    "scatter elements": lambda net: net.node(
        "ScatterElements",
        "image",
        net.integers_of(np.array([5, 4, -6]) * np.ones((2, 3, 1, 1), np.int64)),
        _slice(net, (0, 0), (1, 3), (2, 3)),
        axis=3,
    ),
    "an index that the shape decides": lambda net: net.node(
        "Gather",
        net.node("Reshape", "image", net.integers(-1)),
        net.node(
            "Range",
            net.weight(0, np.int64),
            net.node("Size", "image"),
            net.node("Gather", net.node("Shape", "image"), net.weight(3, np.int64)),
        ),
    ),
}


class _Net:
    """A sketch with tensors of integers of any shape."""

    def __init__(self, net: Any) -> None:
        self._net = net

    def __getattr__(self, name: str) -> Any:
        return getattr(self._net, name)

    def integers_of(self, values: Any) -> str:
        return str(self._net.weight(values, np.int64))


@pytest.mark.parametrize("build", _BUILDS.values(), ids=_BUILDS.keys())
def test_places_move_as_onnx_runtime_moves_numbers(
    sketch: Any, session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession], build: Build
) -> None:
    net = sketch((3, 4, 6))
    moved = build(_Net(net))
    model = net.model(moved)
    image = np.broadcast_to(np.arange(48).reshape(2, 1, 4, 6), (2, 3, 4, 6)).astype(np.float32)
    expected = session_of(model).run(None, {"image": image})[0]
    found = trace(GraphView(model))
    assert found.images == 2
    np.testing.assert_array_equal(found.tensors[moved].places.full, expected)
