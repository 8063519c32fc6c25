"""Heatmaps of several classes of one image, for heads that fold windows or heads into the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from spyglass_export.gradcam import attach_gradcam

DIMS = (4, 4, 6)
CLASSES = 5


def _attention(head: Any, tokens: str) -> str:
    """Attention among the tokens of [stacks, tokens, channels]."""
    keys, queries, values = (head.node("MatMul", tokens, head.normal(4, 4)) for _ in range(3))
    alike = head.node("MatMul", queries, head.node("Transpose", keys, perm=[0, 2, 1]))
    return str(head.node("MatMul", head.node("Softmax", alike, axis=-1), values))


def _windows(head: Any) -> str:
    """Attention in windows of 2×2 places, [batch·6, 4, 4], as in Swin."""
    split = head.node("Reshape", "features", head.integers(-1, 4, 2, 2, 3, 2))
    moved = head.node("Transpose", split, perm=[0, 2, 4, 3, 5, 1])
    attended = _attention(head, head.node("Reshape", moved, head.integers(-1, 4, 4)))
    joined = head.node("Reshape", attended, head.integers(-1, 2, 3, 2, 2, 4))
    return str(head.node("Transpose", joined, perm=[0, 5, 1, 3, 2, 4]))


def _heads(head: Any) -> str:
    """Attention of two heads, [batch·2, 24, 2], tokens first, as in torch's older attention."""
    flat = head.node("Reshape", "features", head.integers(0, 4, 24))
    tokens = head.node("Transpose", flat, perm=[2, 0, 1])
    parts = []
    for _ in range(3):
        product = head.node("MatMul", tokens, head.normal(4, 4))
        split = head.node("Reshape", product, head.integers(24, -1, 2))
        parts.append(head.node("Transpose", split, perm=[1, 0, 2]))
    alike = head.node("MatMul", parts[0], head.node("Transpose", parts[1], perm=[0, 2, 1]))
    attended = head.node("MatMul", head.node("Softmax", alike, axis=-1), parts[2])
    joined = head.node("Reshape", head.node("Transpose", attended, perm=[1, 0, 2]), head.integers(24, -1, 4))
    return str(head.node("Transpose", joined, perm=[1, 2, 0]))


def _tokens_first(head: Any) -> str:
    """Tokens [24, batch, 4] with their mean in front, as in CLIP's attention pool."""
    flat = head.node("Reshape", "features", head.integers(0, 4, 24))
    tokens = head.node("Transpose", flat, perm=[2, 0, 1])
    mean = head.with_axes("ReduceMean", tokens, [0], 18)
    joined = head.node("Concat", mean, tokens, axis=0)
    return str(head.node("Transpose", head.node("Tanh", joined), perm=[1, 0, 2]))


def _by_coordinates(head: Any) -> str:
    """A slice of each image at a place that the image decides."""
    best = head.node("ArgMax", head.node("ReduceMax", "features", axes=[2, 3], keepdims=0), axis=1)
    return str(head.node("GatherND", "features", best, batch_dims=1))


def _products(head: Any) -> str:
    return str(head.node("Einsum", "features", head.node("Tanh", "features"), equation="bchw,bdhw->bcd"))


HEADS: dict[str, Callable[[Any], str]] = {
    "windows": _windows,
    "heads": _heads,
    "tokens first": _tokens_first,
    "coordinates": _by_coordinates,
    "products": _products,
}
LOOPS = frozenset(HEADS) - {"tokens first"}


def _session(case: str, sketch: Callable[..., Any], session_of: Callable[..., Any], batch: int = 0) -> Any:
    head = sketch(DIMS)
    model = head.classify(head.node("Tanh", HEADS[case](head)), CLASSES)
    if batch:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
        del model.graph.value_info[:]
        model.graph.output[0].type.tensor_type.ClearField("shape")
    attached = attach_gradcam(model, feature_map="features").model
    operators = {node.op_type for node in attached.graph.node[-1].attribute[1].g.node}
    assert ("Loop" in operators) == (case in LOOPS or batch == 1)
    return session_of(attached)


def _images(number: int) -> Any:
    return np.random.default_rng(3).normal(size=(number, *DIMS)).astype(np.float32)


@pytest.mark.parametrize("case", HEADS)
def test_a_head_has_its_finite_difference(
    case: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(DIMS)
    assert_exact_gradient(head.classify(head.node("Tanh", HEADS[case](head)), CLASSES), image(DIMS))


@pytest.mark.parametrize("case", HEADS)
def test_several_classes_of_one_image_have_the_maps_of_each_class_alone(
    case: str, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session = _session(case, sketch, session_of)
    together = session.run(["heatmap"], {"image": _images(1), "class_index": np.arange(CLASSES)})[0]
    assert len(np.unique(together, axis=0)) == CLASSES
    for index in range(CLASSES):
        alone = session.run(["heatmap"], {"image": _images(1), "class_index": np.array([index])})[0]
        np.testing.assert_allclose(together[index], alone[0], atol=1e-6)


@pytest.mark.parametrize("case", HEADS)
def test_each_image_of_a_batch_has_the_map_of_the_image_alone(
    case: str, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session, images = _session(case, sketch, session_of), _images(3)
    for classes in ([4, 0, 2], [1], [-1]):
        together = session.run(["heatmap"], {"image": images, "class_index": np.array(classes)})[0]
        for image, index, found in zip(images, np.resize(classes, 3), together, strict=True):
            feeds = {"image": image[None], "class_index": np.array([index])}
            np.testing.assert_allclose(found, session.run(["heatmap"], feeds)[0][0], atol=1e-6)


def test_a_head_of_a_loop_computes_nothing_without_classes(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session = _session("windows", sketch, session_of)
    found = session.run(["heatmap"], {"image": _images(2), "class_index": np.empty(0, np.int64)})[0]
    assert found.shape == (0, *DIMS[1:])


def test_a_file_with_a_built_in_batch_explains_several_classes(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    feeds = {"image": _images(1), "class_index": np.arange(CLASSES)}
    free, fixed = (_session("tokens first", sketch, session_of, batch) for batch in (0, 1))
    np.testing.assert_allclose(fixed.run(["heatmap"], feeds)[0], free.run(["heatmap"], feeds)[0], atol=1e-6)


def test_tokens_may_come_first_in_a_network_of_free_height_and_width(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch((4, "height", "width"))
    flat = head.node("Reshape", "features", head.integers(0, 4, -1))
    tokens = head.node("Transpose", head.node("Tanh", flat), perm=[2, 0, 1])
    mean = head.with_axes("ReduceMean", tokens, [0], 18, keepdims=0)
    model = head.model(head.node("MatMul", mean, head.normal(4, CLASSES)))
    session = session_of(attach_gradcam(model, feature_map="features").model)
    features = _images(1)
    weights = numpy_helper.to_array(head.weights[-1])
    slopes = (1 - np.tanh(features[0]) ** 2).mean((1, 2))
    raw = np.einsum("chw,c,ck->khw", features[0], slopes, weights)
    expected = np.maximum(raw, 0) / np.maximum(raw.max((1, 2), keepdims=True), 1e-12)
    found = session.run(["heatmap"], {"image": features, "class_index": np.arange(CLASSES)})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
