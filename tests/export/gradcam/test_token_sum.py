"""Grad-CAM of tokens that linear layers read needs no gradient of each token, and is exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from spyglass_export.gradcam import attach_gradcam
from spyglass_export.gradcam.record import GradientRecord, read_record

Array = npt.NDArray[Any]
# Tokens [batch, 20, 4] of a feature map [batch, 4, 4, 5].
DIMS, TOKENS, WIDTH = (4, 4, 5), 20, 4
STEP = 4e-3


def _tokens(head: Any) -> str:
    rows = head.node("Reshape", "features", head.integers(0, WIDTH, TOKENS))
    return head.node("Transpose", rows, perm=[0, 2, 1])


def _with_class_token(head: Any) -> str:
    """A learned token before the others, [batch, 21, 4]."""
    tokens = _tokens(head)
    nothing = head.node("Mul", head.with_axes("ReduceMean", tokens, [1], 18), head.weight(0.0))
    return head.node("Concat", head.node("Add", nothing, head.normal(WIDTH)), tokens, axis=1)


def _layer(head: Any, tokens: str, width: int = WIDTH) -> str:
    return head.node("MatMul", tokens, head.normal(WIDTH, width))


def _mixed(head: Any, query: str, key: str, value: str) -> str:
    alike = head.node("MatMul", query, head.node("Transpose", key, perm=[0, 2, 1]))
    return head.node("MatMul", head.node("Softmax", alike, axis=-1), value)


def _attention(head: Any, tokens: str) -> str:
    return _mixed(head, *(_layer(head, tokens) for _ in range(3)))


def _stacked_attention(head: Any, tokens: str) -> str:
    """Queries, keys and values from one product."""
    return _mixed(head, *head.many("Split", [_layer(head, tokens, 3 * WIDTH)], 3, axis=2))


def _block(head: Any, tokens: str) -> str:
    """Attention beside a residual sum that reads the tokens, too."""
    return head.node("Add", tokens, _attention(head, tokens))


def _perceptron(head: Any, tokens: str) -> str:
    return head.node("MatMul", head.node("Tanh", _layer(head, tokens, 6)), head.normal(6, WIDTH))


def _one_layer_of_two_is_unused(head: Any, tokens: str) -> str:
    """The gradient of the second layer is exactly 0."""
    unused = head.node("Mul", _layer(head, tokens), head.weight(0.0))
    return head.node("Add", head.node("Tanh", _layer(head, tokens)), unused)


LAYERS = [_attention, _stacked_attention, _block, _perceptron, _one_layer_of_two_is_unused]
MAPS = {_tokens: slice(None), _with_class_token: slice(1, None)}


def _class_token(head: Any, tokens: str) -> str:
    return head.node("Gather", tokens, head.weight(0, np.int64), axis=1)


def _mean(head: Any, tokens: str) -> str:
    return head.with_axes("ReduceMean", head.node("Tanh", tokens), [1], 18, keepdims=0)


def _expected(model: onnx.ModelProto, session_of: Callable[..., Any], image: Array, number: int) -> Array:
    """Grad-CAM of a copy of the image from central differences, [1, height, width]."""
    session = session_of(model)
    steps = np.eye(image.size, dtype=np.float32).reshape(-1, *DIMS) * STEP
    above, below = (session.run(None, {"image": image + sign * steps})[0] for sign in (1, -1))
    weights = ((above - below)[:, number] / (2 * STEP)).reshape(WIDTH, -1).mean(axis=1)
    positive: Array = np.maximum(np.einsum("k,bkhw->bhw", weights, image), 0)
    return positive / max(float(positive.max()), 1e-12)


def _record(attached: onnx.ModelProto) -> GradientRecord:
    (choice,) = [node for node in attached.graph.node if node.op_type == "If"]
    found = read_record(helper.get_node_attr_value(choice, "then_branch").doc_string)
    assert found is not None
    return found


@pytest.mark.parametrize("read", [_class_token, _mean])
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("map_of", MAPS)
def test_the_map_is_that_of_finite_differences(
    map_of: Any,
    layers: Any,
    read: Any,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
    image: Callable[..., Array],
) -> None:
    head = sketch(DIMS)
    tokens = map_of(head)
    model = head.classify(read(head, layers(head, tokens)))
    attached = attach_gradcam(model, feature_map=tokens).model
    assert _record(attached).summed == (1, 2)
    session = session_of(attached)
    for number in (0, 2):
        feeds = {"image": image(DIMS), "class_index": np.array([number])}
        found = session.run(["heatmap"], feeds)[0]
        expected = _expected(model, session_of, image(DIMS), number)
        np.testing.assert_allclose(found, expected, atol=5e-3)


@pytest.mark.parametrize("map_of", MAPS)
def test_several_classes_and_images_have_their_own_maps(
    map_of: Any, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    tokens = map_of(head)
    model = head.classify(_class_token(head, _block(head, tokens)))
    session = session_of(attach_gradcam(model, feature_map=tokens).model)
    images = np.random.default_rng(4).normal(size=(3, *DIMS)).astype(np.float32)
    alone = [
        session.run(["heatmap"], {"image": each[None], "class_index": np.arange(3)})[0] for each in images
    ]
    for number in range(3):
        together = session.run(["heatmap"], {"image": images, "class_index": np.array([number])})[0]
        np.testing.assert_allclose(together, np.stack([maps[number] for maps in alone]), atol=2e-5)


def test_keys_whose_gradients_cancel_give_a_map_of_zeros(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """A softmax over all tokens does not change if every key gets the same number more."""
    head = sketch(DIMS)
    tokens = _tokens(head)
    alike = head.node("MatMul", _layer(head, tokens), head.normal(WIDTH, 1))
    shares = head.node("Softmax", head.node("Transpose", alike, perm=[0, 2, 1]), axis=-1)
    model = head.classify(head.node("MatMul", shares, head.normal(TOKENS, WIDTH)))
    attached = attach_gradcam(model, feature_map=tokens).model
    assert _record(attached).summed == (1, 2)
    session = session_of(attached)
    for each in np.random.default_rng(3).normal(size=(6, 1, *DIMS)).astype(np.float32):
        assert not session.run(["heatmap"], {"image": each, "class_index": np.arange(3)})[0].any()
