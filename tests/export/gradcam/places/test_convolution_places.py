"""Places in convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest

from spyglass_export.gradcam.layout import CHANNELS_FIRST, CHANNELS_LAST
from spyglass_export.gradcam.places import Placement

Painted = Callable[..., Placement]
Place = Callable[[onnx.ModelProto, str], Placement | None]


def _patches(net: Any, image: str = "image", channels: int = 5) -> str:
    """A convolution whose windows do not overlap: each place is computed from its own 2 x 2 pixels."""
    return str(net.node("Conv", image, net.normal(channels, 3, 2, 2), strides=[2, 2]))


def test_pixels_are_places_of_their_own(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 4, 6))
    doubled = net.node("Mul", "image", net.normal(1, 3, 1, 1))
    placement = assert_painted(net.model(doubled), doubled)
    assert (placement.height, placement.width, placement.channels) == (4, 6, 3)
    assert placement.of_pixels


def test_a_convolution_has_a_grid_of_its_own(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    features = net.node("Tanh", _patches(net))
    placement = assert_painted(net.model(features), features)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 5)
    assert placement.layout == CHANNELS_FIRST
    assert not placement.of_pixels


def test_channels_last(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    last = net.node("Transpose", _patches(net), perm=[0, 2, 3, 1])
    mixed_channels = net.node("MatMul", last, net.normal(5, 7))
    placement = assert_painted(net.model(mixed_channels), mixed_channels)
    assert placement.layout == CHANNELS_LAST
    assert placement.channels == 7


def test_an_image_with_its_channels_last(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((8, 6, 3))
    # The sketch's own convolution would take the first axis for the channels.
    net.nodes.clear()
    first = net.node("Transpose", "image", perm=[0, 3, 1, 2])
    features = _patches(net, first)
    assert assert_painted(net.model(features), features, channels_last=True).layout == CHANNELS_FIRST


@pytest.mark.parametrize("axes", [[3], [2], [2, 3]])
def test_a_flip_is_undone(sketch: Any, assert_painted: Painted, axes: list[int]) -> None:
    net = sketch((3, 8, 6))
    backwards = [net.integers(*[number] * len(axes)) for number in (-1, -(2**63), -1)]
    flipped = net.node("Slice", "image", backwards[0], backwards[1], net.integers(*axes), backwards[2])
    features = net.node("Tanh", _patches(net, flipped))
    placement = assert_painted(net.model(features), features)
    assert placement.layout is None


def test_a_turned_image_is_turned_back(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    turned = net.node("Transpose", "image", perm=[0, 1, 3, 2])
    features = _patches(net, turned)
    placement = assert_painted(net.model(features), features)
    assert (placement.height, placement.width) == (4, 3)


def test_pooling_and_resizing_have_grids_of_their_own(
    sketch: Any, assert_painted: Painted, place: Place
) -> None:
    net = sketch((3, 8, 8))
    pooled = net.node("MaxPool", _patches(net), kernel_shape=[2, 2], strides=[2, 2])
    scales = net.weight([1, 1, 2, 2])
    larger = net.node("Resize", pooled, "", scales, mode="nearest")
    model = net.model(larger)
    assert assert_painted(model, pooled).height == 2
    placement = place(model, larger)
    assert placement is not None
    assert (placement.height, placement.width, placement.layout) == (4, 4, CHANNELS_FIRST)


def test_a_strided_slice_beside_a_strided_convolution(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    features = _patches(net)
    strided = net.node("Conv", features, net.normal(9, 5, 2, 2), strides=[2, 2])
    starts, ends, axes, steps = (net.integers(*pair) for pair in ((0, 0), (99, 99), (2, 3), (2, 2)))
    shortcut = net.node("Slice", features, starts, ends, axes, steps)
    padded = net.node("Pad", shortcut, net.integers(0, 2, 0, 0, 0, 2, 0, 0))
    total = net.node("Add", strided, padded)
    model = net.model(total)
    placement = assert_painted(model, total)
    assert (placement.height, placement.width, placement.channels) == (2, 2, 9)


def test_padding_cut_off_again_leaves_the_places(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    padded = net.node("Pad", _patches(net), net.integers(0, 0, 2, 2, 0, 0, 2, 2), mode="reflect")
    cut = net.node("Slice", padded, net.integers(2, 2), net.integers(-2, -2), net.integers(2, 3))
    assert assert_painted(net.model(cut), cut).layout == CHANNELS_FIRST


def test_a_crop_is_no_map_of_the_image(sketch: Any, place: Place) -> None:
    net = sketch((3, 16, 16))
    cropped = net.node("Slice", _patches(net), net.integers(0), net.integers(4), net.integers(3))
    again = net.node("Conv", cropped, net.normal(2, 5, 3, 3), pads=[1, 1, 1, 1])
    model = net.model(again)
    assert place(model, cropped) is None
    assert place(model, again) is None


@pytest.mark.parametrize(("start", "stop", "known"), [(2, 30, True), (0, 28, False), (4, 32, False)])
def test_a_crop_of_the_image_is_known_only_in_its_middle(
    start: int, stop: int, known: bool, sketch: Any, place: Place
) -> None:
    net = sketch((3, 32, 32))
    bounds = (net.integers(start, start), net.integers(stop, stop), net.integers(2, 3))
    features = _patches(net, net.node("Slice", "image", *bounds))
    assert (place(net.model(features), features) is not None) == known


@pytest.mark.parametrize("size", [(8, 8), (8, 6)])
def test_a_transposed_image_keeps_its_height_and_width(
    size: tuple[int, int], sketch: Any, assert_painted: Painted
) -> None:
    net = sketch((3, *size))
    turned = net.node("Transpose", "image", perm=[0, 1, 3, 2])
    features = net.node("Tanh", net.node("Conv", turned, net.normal(5, 3, 2, 2), strides=[2, 2]))
    model = net.model(features)
    # Without the convolution of the sketch, only the transpose reads the image.
    assert model.graph.node[0].output == ["features"]
    del model.graph.node[0]
    placement = assert_painted(model, features)
    assert (placement.height, placement.width) == (size[0] // 2, size[1] // 2)


def test_space_moved_to_channels_and_back(sketch: Any, assert_painted: Painted, place: Place) -> None:
    net = sketch((3, 8, 8))
    deep = net.node("SpaceToDepth", "image", blocksize=2)
    features = net.node("Conv", deep, net.normal(8, 12, 1, 1))
    model = net.model(back := net.node("DepthToSpace", features, blocksize=2))
    assert assert_painted(model, features).layout == CHANNELS_FIRST
    placement = place(model, back)
    assert placement is not None
    assert (placement.height, placement.width, placement.channels) == (8, 8, 2)
    assert placement.layout == CHANNELS_FIRST


def test_pooled_vectors_have_no_places(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    mean = net.node("GlobalAveragePool", _patches(net))
    rows = net.with_axes("ReduceMean", _patches(net), [3], 18)
    both = net.node("Add", mean, rows)
    model = net.model(both)
    assert [place(model, tensor) for tensor in (mean, rows, both)] == [None] * 3


def test_a_gate_for_the_whole_image_leaves_the_places(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    features = _patches(net)
    gate = net.node("Mul", net.node("GlobalAveragePool", features), net.weight(0.0))
    gated = net.node("Mul", features, net.node("Sigmoid", gate))
    assert assert_painted(net.model(gated), gated).layout == CHANNELS_FIRST


def test_channels_beside_those_of_the_whole_image(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    features = _patches(net)
    mean = net.node("Mul", net.node("GlobalAveragePool", features), net.weight(0.0))
    spread = net.node("Expand", mean, net.integers(1, 5, 4, 4))
    both = net.node("Concat", features, spread, axis=1)
    placement = assert_painted(net.model(both), both)
    assert placement.channels == 10
    assert placement.layout == CHANNELS_FIRST


def test_two_different_places_are_a_mixture(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    features = _patches(net)
    backwards = [net.integers(-1), net.integers(-99), net.integers(3), net.integers(-1)]
    total = net.node("Add", features, net.node("Slice", features, *backwards))
    assert place(net.model(total), total) is None
