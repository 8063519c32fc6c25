"""Numerical checks of placements: paint one place of an image and see which numbers change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.places import Placement, Places
from spyglass_export.gradcam.sizes import Sized

Array = npt.NDArray[Any]
Place = Callable[[onnx.ModelProto, str], Placement | None]


def _settled(model: onnx.ModelProto) -> GraphView:
    view = GraphView(model)
    view.settle(view.nodes)
    return view


@pytest.fixture
def place() -> Place:
    """Return the placement of a tensor of a model."""
    return lambda model, tensor: Places(_settled(model)).placement(tensor)


def _arranged(model: onnx.ModelProto, tensor: str, placement: Placement) -> onnx.ModelProto:
    """The model with the arranged tensor as its only output."""
    view = _settled(model)
    build = GraphBuilder(view.opset, set(view.producers))
    result = placement.arranged(build, Sized(tensor, view.dims(tensor)))
    assert result.dims[1:] == (placement.height, placement.width, placement.channels)
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    extended.graph.node.extend(build.nodes)
    extended.graph.initializer.extend(build.initializers)
    del extended.graph.output[:]
    extended.graph.output.append(helper.make_tensor_value_info(result.name, TensorProto.FLOAT, None))
    return extended


@pytest.fixture
def arranged(session_of: Callable[[onnx.ModelProto], onnxruntime.InferenceSession]) -> Callable[..., Array]:
    """Run a model and return a tensor as [images, height, width, channels], in the order of the image."""

    def run(model: onnx.ModelProto, tensor: str, placement: Placement, images: Array) -> Array:
        return np.asarray(session_of(_arranged(model, tensor, placement)).run(None, {"image": images})[0])

    return run


@pytest.fixture
def assert_painted(
    place: Place, arranged: Callable[..., Array]
) -> Callable[[onnx.ModelProto, str], Placement]:
    """Check that each place of a tensor changes with its own part of the image and with no other.

    The network must compute each place from its own part alone. `channels_last` says how the image lies.
    """

    def check(model: onnx.ModelProto, tensor: str, channels_last: bool = False) -> Placement:
        placement = place(model, tensor)
        assert placement is not None
        images, places = _painted(model, placement, channels_last)
        found = arranged(model, tensor, placement, images)
        changed = (np.abs(found[1:] - found[0]) > 1e-6).any(axis=3)
        np.testing.assert_array_equal(changed, places)
        return placement

    return check


def _painted(model: onnx.ModelProto, placement: Placement, channels_last: bool) -> tuple[Array, Array]:
    """A plain image, and one for each place with that place painted; and the painted places."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    height, width = shape[:2] if channels_last else shape[1:]
    count = placement.height * placement.width
    places = np.eye(count, dtype=bool).reshape(count, placement.height, placement.width)
    parts = (height // placement.height, width // placement.width)
    pixels = places.repeat(parts[0], axis=1).repeat(parts[1], axis=2)
    paint = np.random.default_rng(3).normal(size=shape)
    images = np.where(pixels[..., None] if channels_last else pixels[:, None], paint, 0)
    return np.concatenate([np.zeros((1, *shape)), images]).astype(np.float32), places
