"""Places of tokens, with and without class and register tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam.layout import CHANNELS_FIRST
from spyglass_export.gradcam.places import Placement

Painted = Callable[..., Placement]
Place = Callable[[onnx.ModelProto, str], Placement | None]


def _tokens(net: Any, channels: int = 6) -> str:
    """Tokens [batch, 12, channels] of the 4 x 3 patches of an image of 8 x 6 pixels."""
    patches = net.node("Conv", "image", net.normal(channels, 3, 2, 2), strides=[2, 2])
    flat = net.node("Reshape", patches, net.integers(0, channels, -1))
    return str(net.node("Transpose", flat, perm=[0, 2, 1]))


def _with_class_tokens(net: Any, tokens: str, count: int, axis: int = 1) -> str:
    """Tokens behind `count` learned ones; the batch comes from the shape, as exporters write it."""
    batch = net.node("Gather", net.node("Shape", tokens), net.integers(1 - axis), axis=0)
    sizes = [batch, net.integers(count)] if axis else [net.integers(count), batch]
    shape = net.node("Concat", *sizes, net.integers(6), axis=0)
    learned = net.node("Expand", net.normal(1, 1, 6), shape)
    joined = net.node("Concat", learned, tokens, axis=axis)
    return str(net.node("Add", joined, net.normal(*(1, 12 + count, 6) if axis else (12 + count, 1, 6))))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_class_and_register_tokens_are_left_out(sketch: Any, assert_painted: Painted, count: int) -> None:
    net = sketch((3, 8, 6))
    tokens = _with_class_tokens(net, _tokens(net), count)
    normalised = net.node("LayerNormalization", tokens, net.normal(6), axis=-1)
    placement = assert_painted(net.model(normalised), normalised)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 6)
    assert placement.layout is None


def test_register_tokens_behind_the_patches(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    tokens = _tokens(net)
    registers = net.node("Mul", net.node("Slice", tokens, *_first_two(net)), net.weight(0.0))
    constants = net.node("Add", net.node("ReduceMean", registers, axes=[1], keepdims=1), net.normal(1, 2, 6))
    joined = net.node("Concat", tokens, constants, axis=1)
    assert_painted(net.model(joined), joined)


def _first_two(net: Any) -> list[str]:
    return [net.integers(0), net.integers(2), net.integers(1)]


def test_tokens_before_the_batch(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    first = net.node("Transpose", _tokens(net), perm=[1, 0, 2])
    tokens = _with_class_tokens(net, first, 1, axis=0)
    placement = assert_painted(net.model(tokens), tokens)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 6)


def test_tokens_that_become_a_map_again(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    mapped = net.node("MatMul", _tokens(net), net.normal(6, 5))
    turned = net.node("Transpose", mapped, perm=[0, 2, 1])
    back = net.node("Reshape", turned, net.integers(-1, 5, 4, 3))
    assert assert_painted(net.model(back), back).layout == CHANNELS_FIRST


def test_heads_and_numbers_are_channels(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    heads = net.node("Reshape", _tokens(net), net.integers(0, 0, 2, 3))
    turned = net.node("Transpose", heads, perm=[0, 2, 3, 1])
    model = net.model(turned)
    for tensor in (heads, turned):
        assert assert_painted(model, tensor).channels == 6


@pytest.mark.parametrize(
    ("perm", "sizes"), [([0, 2, 1, 3], (12, 3)), ([2, 0, 1, 3], (12, 3)), ([1, 0, 2, 3], (3,))]
)
def test_an_axis_that_holds_more_than_the_batch(
    sketch: Any, assert_painted: Painted, perm: list[int], sizes: tuple[int, ...]
) -> None:
    net = sketch((3, 8, 6))
    heads = net.node("Reshape", _tokens(net), net.integers(0, 12, 2, 3))
    turned = net.node("Transpose", heads, perm=perm)
    folded = net.node("Reshape", turned, net.integers(-1, *sizes))
    placement = assert_painted(net.model(folded), folded)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 6)


def test_images_that_a_reshape_mixes_have_no_places(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 6))
    first = net.node("Transpose", _tokens(net), perm=[1, 0, 2])
    torn = net.node("Reshape", first, net.integers(-1, 12, 6))
    assert place(net.model(torn), torn) is None


def test_class_tokens_alone_have_no_places(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 6))
    tokens = _with_class_tokens(net, _tokens(net), 1)
    chosen = net.node("Gather", tokens, net.weight(0, np.int64), axis=1)
    one = net.node("Gather", tokens, net.weight(3, np.int64), axis=1)
    model = net.model(net.node("Add", chosen, one))
    assert place(model, chosen) is None
    assert place(model, one) is None


def test_integers_are_no_map(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 6))
    best = net.node("ArgMax", net.node("Conv", "image", net.normal(4, 3, 2, 2), strides=[2, 2]), axis=1)
    rounded = net.node("Cast", "image", to=onnx.TensorProto.INT32)
    model = net.model(net.node("Cast", net.node("ReduceMax", rounded, axes=[1]), to=onnx.TensorProto.FLOAT))
    assert place(model, rounded) is None
    assert place(net.model(best), best) is None


def test_a_network_for_one_image(sketch: Any, place: Place, arranged: Callable[..., Any]) -> None:
    net = sketch((3, 8, 6))
    patches = net.node("Conv", "image", net.normal(6, 3, 2, 2), strides=[2, 2])
    tokens = net.node("Transpose", net.node("Reshape", patches, net.integers(1, 6, 12)), perm=[0, 2, 1])
    windows = net.node("Reshape", tokens, net.integers(4, 3, 6))
    model = net.model(windows)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    fixed = onnx.shape_inference.infer_shapes(model, data_prop=True)
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 6)).astype(np.float32)
    expected_at = place(fixed, patches)
    assert expected_at is not None
    expected = arranged(fixed, patches, expected_at, image)
    for tensor in (tokens, windows):
        placement = place(fixed, tensor)
        assert placement is not None
        np.testing.assert_array_equal(arranged(fixed, tensor, placement, image), expected)


def test_free_sizes_allow_only_plain_layouts(sketch: Any, place: Place) -> None:
    net = sketch((3, "height", "width"))
    patches = net.node("Conv", "image", net.normal(6, 3, 2, 2), strides=[2, 2])
    flat = net.node("Reshape", patches, net.integers(0, 6, -1))
    model = net.model(flat)
    placement = place(model, patches)
    assert placement is not None
    assert placement.layout == CHANNELS_FIRST
    assert place(model, flat) is None
