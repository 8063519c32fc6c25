"""Places in attention: the output lies at its query, and no matrix of attention is a map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from spyglass_export.gradcam.places import Placement

Array = Any
Place = Callable[[onnx.ModelProto, str], Placement | None]
Arranged = Callable[..., Array]


def _tokens(net: Any, channels: int = 6, class_token: bool = False) -> str:
    """Tokens [batch, 16, channels] of an image of 8 x 8 pixels, perhaps behind a class token."""
    patches = net.node("Conv", "image", net.normal(channels, 3, 2, 2), strides=[2, 2])
    flat = net.node("Reshape", patches, net.integers(0, channels, -1))
    tokens = net.node("Transpose", flat, perm=[0, 2, 1])
    if not class_token:
        return str(tokens)
    mean = net.node("ReduceMean", tokens, axes=[1], keepdims=1)
    return str(net.node("Concat", mean, tokens, axis=1))


def _heads(net: Any, tokens: str, perm: list[int], count: int = 16) -> str:
    """Tokens times a weight, as two heads of three numbers."""
    numbers = net.node("MatMul", tokens, net.normal(6, 6))
    return str(net.node("Transpose", net.node("Reshape", numbers, net.integers(0, count, 2, 3)), perm=perm))


def _attention(net: Any, query: str, tokens: str, count: int = 16) -> tuple[str, str, str]:
    """Logits, weights and output of attention with `query`, [batch, heads, queries, numbers]."""
    key = _heads(net, tokens, [0, 2, 3, 1], count)
    value = _heads(net, tokens, [0, 2, 1, 3], count)
    logits = net.node("MatMul", query, key)
    weights = net.node("Softmax", logits, axis=-1)
    return logits, weights, net.node("MatMul", weights, value)


def test_the_output_lies_at_the_query(sketch: Any, place: Place, arranged: Arranged) -> None:
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    logits, weights, output = _attention(net, _heads(net, tokens, [0, 2, 1, 3]), tokens)
    model = net.model(output)
    assert place(model, logits) is None
    assert place(model, weights) is None
    placement = place(model, output)
    assert placement is not None
    assert (placement.height, placement.width, placement.channels) == (4, 4, 6)
    assert_follows_a_flip(model, output, placement, arranged)


def assert_follows_a_flip(
    model: onnx.ModelProto, tensor: str, placement: Placement, arranged: Arranged
) -> None:
    """Attention without positions gives each query the same output wherever the patches lie."""
    image = np.random.default_rng(5).normal(size=(2, 3, 8, 8)).astype(np.float32)
    # Patches move as a whole: two columns of pixels each.
    patches = image.reshape(2, 3, 8, 4, 2)[:, :, :, ::-1].reshape(image.shape)
    moved = arranged(model, tensor, placement, np.ascontiguousarray(patches))
    still = arranged(model, tensor, placement, image)
    np.testing.assert_allclose(moved, still[:, :, ::-1], rtol=1e-4, atol=1e-5)
    assert np.abs(moved - still).max() > 1e-3


def test_a_class_token_does_not_hide_the_places(sketch: Any, place: Place, arranged: Arranged) -> None:
    net = sketch((3, 8, 8))
    tokens = _tokens(net, class_token=True)
    for _ in range(2):
        _, weights, output = _attention(net, _heads(net, tokens, [0, 2, 1, 3], 17), tokens, 17)
        joined = net.node("Reshape", net.node("Transpose", output, perm=[0, 2, 1, 3]), net.integers(0, 17, 6))
        tokens = net.node("Add", tokens, joined)
    model = net.model(tokens)
    assert place(model, weights) is None
    for tensor in (joined, tokens):
        placement = place(model, tensor)
        assert placement is not None
        assert (placement.height, placement.width, placement.channels) == (4, 4, 6)
        assert_follows_a_flip(model, tensor, placement, arranged)


def test_weights_with_a_bias_and_mixed_heads_are_still_no_map(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    query = _heads(net, tokens, [0, 2, 1, 3])
    logits = net.node("MatMul", query, _heads(net, tokens, [0, 2, 3, 1]))
    relative = net.node("MatMul", query, net.normal(3, 16))
    biased = net.node("Add", net.node("Add", logits, net.normal(1, 2, 16, 16)), relative)
    talking = net.node("Conv", biased, net.normal(2, 2, 1, 1))
    weights = net.node("Softmax", talking, axis=-1)
    output = net.node("MatMul", weights, _heads(net, tokens, [0, 2, 1, 3]))
    model = net.model(output)
    assert [place(model, tensor) for tensor in (logits, biased, talking, weights)] == [None] * 4
    assert place(model, output) is not None


def test_shares_of_attention_are_no_map(sketch: Any, place: Place) -> None:
    """A softmax over the places of a map, and features times them, which are a map."""
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    shares = net.node("Softmax", net.node("MatMul", tokens, net.normal(6, 1)), axis=1)
    gated = net.node("Mul", tokens, net.node("Mul", shares, net.weight(2.0)))
    classes = net.node("Softmax", tokens, axis=2)
    model = net.model(net.node("Add", gated, classes))
    assert place(model, shares) is None
    assert place(model, gated) is not None
    assert place(model, classes) is not None


def test_attention_from_the_value_s_side(sketch: Any, place: Place, arranged: Arranged) -> None:
    """Values [.., numbers, keys] times the turned weights [.., keys, queries], as in SAGAN."""
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    key = _heads(net, tokens, [0, 2, 3, 1])
    weights = net.node("Softmax", net.node("MatMul", _heads(net, tokens, [0, 2, 1, 3]), key), axis=-1)
    turned = net.node("Transpose", weights, perm=[0, 1, 3, 2])
    output = net.node("MatMul", _heads(net, tokens, [0, 2, 3, 1]), turned)
    model = net.model(output)
    placement = place(model, output)
    assert placement is not None
    assert (placement.height, placement.width, placement.channels) == (4, 4, 6)
    assert_follows_a_flip(model, output, placement, arranged)


def test_a_pooled_query_has_the_grid_of_its_pooling(sketch: Any, place: Place) -> None:
    """MViT pools the query with heads folded into the batch."""
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    query = _heads(net, tokens, [0, 2, 3, 1])
    folded = net.node("Reshape", query, net.integers(-1, 3, 4, 4))
    pooled = net.node("Conv", folded, net.normal(3, 1, 3, 3), group=3, strides=[2, 2], pads=[1, 1, 1, 1])
    heads = net.node("Reshape", pooled, net.integers(-1, 2, 3, 4))
    turned = net.node("Transpose", heads, perm=[0, 1, 3, 2])
    normalised = net.node("LayerNormalization", turned, net.normal(3))
    logits, _, output = _attention(net, normalised, tokens)
    model = net.model(output)
    for tensor in (normalised, output):
        placement = place(model, tensor)
        assert placement is not None
        assert (placement.height, placement.width, placement.channels) == (2, 2, 6)
    assert place(model, logits) is None


def test_attention_between_channels(sketch: Any, place: Place, arranged: Arranged) -> None:
    """XCiT: a matrix of channels has no places, and its product with the values has those of the values."""
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    query, value = _heads(net, tokens, [0, 2, 3, 1]), _heads(net, tokens, [0, 2, 3, 1])
    weights = net.node("MatMul", query, _heads(net, tokens, [0, 2, 1, 3]))
    output = net.node("MatMul", net.node("Softmax", weights, axis=-1), value)
    model = net.model(output)
    assert place(model, weights) is None
    placement = place(model, output)
    assert placement is not None
    assert placement.channels == 6
    assert_follows_a_flip(model, output, placement, arranged)


def test_linear_attention(sketch: Any, place: Place, arranged: Arranged) -> None:
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    summary = net.node("MatMul", _heads(net, tokens, [0, 2, 3, 1]), _heads(net, tokens, [0, 2, 1, 3]))
    output = net.node("Einsum", _heads(net, tokens, [0, 2, 1, 3]), summary, equation="bhnd,bhde->bhne")
    model = net.model(output)
    assert place(model, summary) is None
    placement = place(model, output)
    assert placement is not None
    assert_follows_a_flip(model, output, placement, arranged)


def test_attention_in_one_einsum(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    query, key = _heads(net, tokens, [0, 1, 2, 3]), _heads(net, tokens, [0, 1, 2, 3])
    weights = net.node("Einsum", query, key, equation="bnhd,bmhd->bhnm")
    output = net.node("Einsum", weights, _heads(net, tokens, [0, 1, 2, 3]), equation="bhnm,bmhd->bnhd")
    model = net.model(output)
    assert place(model, weights) is None
    assert place(model, output) is not None


def test_mixers_name_their_tokens(sketch: Any, place: Place) -> None:
    """The product over tokens is a mixture; its sum with the tokens lies at the tokens."""
    net = sketch((3, 8, 8))
    tokens = _tokens(net)
    turned = net.node("Transpose", tokens, perm=[0, 2, 1])
    hidden = net.node("Relu", net.node("MatMul", turned, net.normal(16, 9)))
    mixed = net.node("MatMul", hidden, net.normal(9, 16))
    back = net.node("Transpose", mixed, perm=[0, 2, 1])
    total = net.node("Add", tokens, back)
    gated = net.node("Mul", total, back)
    model = net.model(gated)
    assert place(model, mixed) is None
    assert place(model, back) is None
    for tensor in (total, gated):
        placement = place(model, tensor)
        assert placement is not None
        assert (placement.height, placement.width, placement.channels) == (4, 4, 6)


def test_unknown_operators_lose_the_places_and_a_residual_finds_them_again(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 8))
    patches = net.node("Conv", "image", net.normal(6, 3, 2, 2), strides=[2, 2])
    grid = net.normal(1, 4, 4, 2)
    batch = net.node("Gather", net.node("Shape", patches), net.integers(0), axis=0)
    spread = net.node("Expand", grid, net.node("Concat", batch, net.integers(4, 4, 2), axis=0))
    sampled = net.node("GridSample", patches, spread)
    total = net.node("Add", patches, sampled)
    model = net.model(total)
    assert place(model, sampled) is None
    assert place(model, total) is not None
