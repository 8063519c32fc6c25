"""Places of windows, merged patches and units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam.layout import CHANNELS_LAST
from spyglass_export.gradcam.places import Placement

Painted = Callable[..., Placement]
Place = Callable[[onnx.ModelProto, str], Placement | None]


def _places(net: Any, channels: int = 5) -> str:
    """A map [batch, 4, 4, channels] of an image of 8 x 8 pixels."""
    patches = net.node("Conv", "image", net.normal(channels, 3, 2, 2), strides=[2, 2])
    return str(net.node("Transpose", patches, perm=[0, 2, 3, 1]))


def _rolled(net: Any, tensor: str, by: int) -> str:
    """A roll of height and width, as torch.roll is exported: two slices, in the other order."""
    for axis in (1, 2):
        head = net.node("Slice", tensor, net.integers(0), net.integers(by), net.integers(axis))
        tail = net.node("Slice", tensor, net.integers(by), net.integers(2**62), net.integers(axis))
        tensor = net.node("Concat", tail, head, axis=axis)
    return tensor


def _windows(net: Any, tensor: str, channels: int = 5) -> str:
    """Windows of 2 x 2 places, folded with the batch: [batch * 4, 4, channels]."""
    split = net.node("Reshape", tensor, net.integers(-1, 2, 2, 2, 2, channels))
    turned = net.node("Transpose", split, perm=[0, 1, 3, 2, 4, 5])
    return str(net.node("Reshape", turned, net.integers(-1, 4, channels)))


@pytest.mark.parametrize("by", [0, 1])
def test_windows_folded_with_the_batch(sketch: Any, assert_painted: Painted, by: int) -> None:
    net = sketch((3, 8, 8))
    places = _places(net)
    windows = _windows(net, _rolled(net, places, by) if by else places)
    numbers = net.node("MatMul", windows, net.normal(5, 7))
    placement = assert_painted(net.model(numbers), numbers)
    assert (placement.height, placement.width, placement.channels) == (4, 4, 7)


def test_shifted_windows_put_back(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    windows = _windows(net, _rolled(net, _places(net), 1))
    split = net.node("Reshape", windows, net.integers(-1, 2, 2, 2, 2, 5))
    turned = net.node("Transpose", split, perm=[0, 1, 3, 2, 4, 5])
    back = _rolled(net, net.node("Reshape", turned, net.integers(-1, 4, 4, 5)), -1)
    assert assert_painted(net.model(back), back).layout == CHANNELS_LAST


def test_padded_windows_leave_the_padding_out(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 6))
    patches = net.node("Conv", "image", net.normal(5, 3, 2, 2), strides=[2, 2])
    last = net.node("Transpose", patches, perm=[0, 2, 3, 1])
    padded = net.node("Pad", last, net.integers(0, 0, 0, 0, 0, 0, 1, 0))
    windows = _windows(net, padded)
    placement = assert_painted(net.model(windows), windows)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 5)


def test_a_sum_over_windows_does_not_change_the_grid(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    windows = _windows(net, _places(net))
    turned = net.node("Transpose", windows, perm=[0, 2, 1])
    mixed = net.node("Transpose", net.node("MatMul", turned, net.normal(4, 4)), perm=[0, 2, 1])
    total = net.node("Add", windows, mixed)
    placement = place(net.model(total), total)
    assert placement is not None
    assert (placement.height, placement.width) == (4, 4)


def test_merged_patches_have_a_coarser_grid(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    places = _places(net)
    parts = []
    for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
        bounds = net.integers(row, column), net.integers(99, 99), net.integers(1, 2), net.integers(2, 2)
        parts.append(net.node("Slice", places, *bounds))
    joined = net.node("Concat", *parts, axis=-1)
    normalised = net.node("LayerNormalization", joined, net.normal(20), axis=-1)
    merged = net.node("MatMul", normalised, net.normal(20, 6))
    placement = assert_painted(net.model(merged), merged)
    assert (placement.height, placement.width, placement.channels) == (2, 2, 6)
    assert placement.layout == CHANNELS_LAST


def test_units_pooled_by_their_maximum(sketch: Any, assert_painted: Painted) -> None:
    """Hiera's order: the 2 x 2 places of a unit are apart from each other, so a maximum pools them."""
    net = sketch((3, 8, 8))
    split = net.node("Reshape", _places(net), net.integers(-1, 2, 2, 2, 2, 5))
    units = net.node("Transpose", split, perm=[0, 2, 4, 1, 3, 5])
    tokens = net.node("Reshape", units, net.integers(-1, 16, 5))
    of_units = net.node("Reshape", tokens, net.integers(-1, 4, 4, 5))
    pooled = net.with_axes("ReduceMax", of_units, [1], 18, keepdims=0)
    model = net.model(pooled)
    assert assert_painted(model, tokens).height == 4
    placement = assert_painted(model, pooled)
    assert (placement.height, placement.width, placement.channels) == (2, 2, 5)


def test_a_permutation_by_index(sketch: Any, assert_painted: Painted) -> None:
    net = sketch((3, 8, 8))
    tokens = net.node("Reshape", _places(net), net.integers(-1, 16, 5))
    order = np.random.default_rng(1).permutation(16)
    shuffled = net.node("Gather", tokens, net.integers(*order), axis=1)
    placement = assert_painted(net.model(shuffled), shuffled)
    assert placement.height == 4


def test_tokens_chosen_by_their_values_have_no_places(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    tokens = net.node("Reshape", _places(net), net.integers(-1, 16, 5))
    values, _ = net.many("TopK", [tokens, net.integers(16)], 2, axis=1)
    assert place(net.model(values), values) is None


def test_strided_tokens_have_a_coarser_grid(sketch: Any, assert_painted: Painted, place: Place) -> None:
    """LeViT's shrinking attention takes every second row and column of the tokens."""
    net = sketch((3, 8, 8))
    bounds = net.integers(0, 0), net.integers(99, 99), net.integers(1, 2), net.integers(2, 2)
    strided = net.node("Slice", _places(net), *bounds)
    tokens = net.node("Reshape", strided, net.integers(-1, 4, 5))
    placement = place(net.model(tokens), tokens)
    assert placement is not None
    assert (placement.height, placement.width, placement.channels) == (2, 2, 5)


@pytest.mark.parametrize("operator", ["MatMul", "Einsum", "Conv"])
def test_patches_cut_from_the_pixels(sketch: Any, assert_painted: Painted, operator: str) -> None:
    net = sketch((3, 8, 6))
    split = net.node("Reshape", "image", net.integers(0, 3, 4, 2, 3, 2))
    patches = net.node("Transpose", split, perm=[0, 2, 4, 3, 5, 1])
    cut = net.node("Reshape", patches, net.integers(0, 12, 12))
    if operator == "MatMul":
        tokens = net.node("MatMul", cut, net.normal(12, 7))
    elif operator == "Einsum":
        tokens = net.node("Einsum", patches, net.normal(2, 2, 3, 7), equation="bhwijc,ijcd->bhwd")
    else:
        turned = net.node("Transpose", cut, perm=[0, 2, 1])
        tokens = net.node("Conv", turned, net.normal(7, 12, 1))
    model = net.model(tokens)
    placement = assert_painted(model, tokens)
    assert (placement.height, placement.width, placement.channels) == (4, 3, 7)
    assert not placement.of_pixels


def test_overlapping_patches_have_the_grid_of_their_centres(sketch: Any, place: Place, arranged: Any) -> None:
    """T2T cuts windows of 3 x 3 places, two apart, from a padded map, and multiplies each with weights."""
    net = sketch((3, 16, 16))
    patches = net.node("Conv", "image", net.normal(5, 3, 2, 2), strides=[2, 2])
    padded = net.node("Pad", patches, net.integers(0, 0, 1, 1, 0, 0, 1, 1))
    lines = net.weight([[first, first + 1, first + 2] for first in (0, 2, 4, 6)], np.int64)
    cut = net.node("Gather", net.node("Gather", padded, lines, axis=2), lines, axis=4)
    turned = net.node("Transpose", cut, perm=[0, 2, 4, 1, 3, 5])
    tokens = net.node("MatMul", net.node("Reshape", turned, net.integers(-1, 16, 45)), net.normal(45, 6))
    model = net.model(tokens)
    placement = place(model, tokens)
    assert placement is not None
    assert (placement.height, placement.width, placement.channels) == (4, 4, 6)
    images = np.zeros((2, 3, 16, 16), np.float32)
    # The centre of the window in the second row and the fourth column.
    images[1, :, 4:6, 12:14] = 1
    found = arranged(model, tokens, placement, images)
    changed = np.argwhere(np.abs(found[1] - found[0]).max(axis=2) > 1e-6)
    np.testing.assert_array_equal(changed, [[1, 3]])
