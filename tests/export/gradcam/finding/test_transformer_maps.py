"""Which tokens of a vision transformer are explained, and that their heatmaps are exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass_export.gradcam import attach_gradcam

Array = np.ndarray[Any, Any]
GRID = (3, 4)


def _expected(value: Array, gradient: Array, method: str) -> Array:
    """The heatmap of tokens [places, channels], from the formula of the method."""
    if method == "layercam":
        raw = (np.maximum(gradient, 0) * value).sum(-1)
    elif method == "gradcam++":
        positive = np.maximum(gradient, 0)
        shares = positive / (2 + np.maximum(value.sum(0), 0) * positive)
        raw = (value * shares.sum(0)).sum(-1)
    else:
        raw = (value * gradient.mean(0)).mean(-1)
    raw = np.maximum(raw, 0).reshape(GRID)
    scaled: Array = raw / max(raw.max(), 1e-12)
    return scaled


@pytest.mark.slow
@pytest.mark.parametrize("extra", [1, 5])
@pytest.mark.parametrize("spelled_out", [False, True])
def test_with_a_class_token_the_last_block_is_explained_behind_its_first_normalisation(
    extra: int, spelled_out: bool, transformer: Callable[..., Any]
) -> None:
    net = transformer(spelled_out=spelled_out)
    model = net.of_class_token(net.block(net.block(net.embed(extra))))
    attached = attach_gradcam(model)
    assert attached.layer == net.norms[-1]
    assert attached.notices == ()


def test_averaged_tokens_are_explained_behind_the_last_normalisation(
    transformer: Callable[..., Any],
) -> None:
    net = transformer()
    last = net.normalise(net.block(net.embed(0)))
    assert attach_gradcam(net.of_mean(last)).layer == last


def test_averaged_tokens_that_are_normalised_later_are_explained_as_they_are(
    transformer: Callable[..., Any],
) -> None:
    net = transformer()
    last = net.block(net.embed(0))
    mean = net.head.with_axes("ReduceMean", last, [1], 18, keepdims=0)
    assert attach_gradcam(net.classify(net.normalise(mean))).layer == last


def test_a_stream_that_goes_around_its_normalisation_is_explained_itself(
    transformer: Callable[..., Any],
) -> None:
    net = transformer()
    stream = net.block(net.embed(1))
    read = net.block(stream)
    mean = net.head.with_axes("ReduceMean", stream, [1], 18, keepdims=0)
    token = net.head.node("Gather", read, net.head.weight(0, np.int64), axis=1)
    assert attach_gradcam(net.classify(net.head.node("Add", token, mean))).layer == stream


def test_projections_for_attention_pooling_are_not_explained(transformer: Callable[..., Any]) -> None:
    net = transformer()
    last = net.normalise(net.block(net.embed(0)))
    both = net.head.node("Add", net.product(last, 8, 16), net.head.normal(16))
    key, value = (net.parted(part) for part in net.head.many("Split", [both], 2, axis=2))
    query = net.head.normal(1, 2, 1, 4)
    read = net.attend(query, key, value, number=1)
    model = net.classify(net.head.node("Reshape", read, net.head.integers(0, 8)))
    assert attach_gradcam(model).layer == last


@pytest.mark.parametrize("blocks", [0, 1])
def test_class_attention_is_explained_behind_its_normalisation(
    blocks: int, transformer: Callable[..., Any]
) -> None:
    net = transformer()
    stream = net.embed(1)
    for _ in range(blocks):
        stream = net.block(stream)
    read = net.normalise(stream)
    own = net.head.node("Slice", read, net.head.integers(0), net.head.integers(1), net.head.integers(1))
    kept = net.head.node("Slice", stream, net.head.integers(0), net.head.integers(1), net.head.integers(1))
    query = net.parted(net.product(own), 1)
    key, value = (net.parted(net.product(read)) for _ in range(2))
    token = net.head.node("Add", kept, net.attend(query, key, value, number=1))
    model = net.classify(net.head.node("Reshape", token, net.head.integers(0, 8)))
    assert attach_gradcam(model).layer == read


def test_a_mixer_is_explained_behind_its_last_normalisation(transformer: Callable[..., Any]) -> None:
    net = transformer()
    stream = net.embed(0)
    for _ in range(2):
        turned = net.head.node("Transpose", net.normalise(stream), perm=[0, 2, 1])
        mixed = net.head.node("Tanh", net.product(turned, 12, 12))
        stream = net.head.node("Add", stream, net.head.node("Transpose", mixed, perm=[0, 2, 1]))
        stream = net.head.node("Add", stream, net.product(net.normalise(stream)))
    last = net.normalise(stream)
    assert attach_gradcam(net.of_mean(last)).layer == last


def test_tokens_that_are_moved_to_a_plain_layout_are_explained_there(transformer: Callable[..., Any]) -> None:
    net = transformer()
    turned = net.head.node("Transpose", net.block(net.embed(0)), perm=[0, 2, 1])
    folded = net.head.node("Reshape", turned, net.head.integers(0, 8, 3, 4))
    pooled = net.head.node("Flatten", net.head.node("GlobalAveragePool", folded))
    assert attach_gradcam(net.classify(pooled)).layer == folded


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_the_heatmap_of_tokens_is_that_of_central_differences(
    method: Any,
    transformer: Callable[..., Any],
    image: Callable[..., Array],
    gradient_by_differences: Callable[..., tuple[Array, Array]],
    session_of: Callable[..., Any],
) -> None:
    net = transformer()
    model = net.of_class_token(net.block(net.block(net.embed(2))))
    session = session_of(attach_gradcam(model, method=method).model)
    images = np.concatenate([image((8, 3, 4), seed) for seed in range(2)])
    for class_index in range(3):
        wanted = np.array([class_index])
        found = session.run(["heatmap"], {"image": images, "class_index": wanted})[0]
        for row, picture in zip(found, images, strict=True):
            value, gradient = gradient_by_differences(model, net.norms[-1], picture[None], class_index)
            np.testing.assert_allclose(row, _expected(value[2:], gradient[2:], method), atol=5e-3)


@pytest.mark.parametrize("method", ["gradcam", "layercam", "eigencam"])
def test_several_classes_of_one_image_equal_single_ones(
    method: Any, transformer: Callable[..., Any], image: Callable[..., Array], session_of: Callable[..., Any]
) -> None:
    net = transformer()
    model = net.of_class_token(net.block(net.embed(1)))
    session = session_of(attach_gradcam(model, method=method).model)
    one = image((8, 3, 4))
    together = session.run(["heatmap"], {"image": one, "class_index": np.array([2, 0, 1])})[0]
    assert together.shape == (3, *GRID)
    for row, class_index in zip(together, (2, 0, 1), strict=True):
        alone = session.run(["heatmap"], {"image": one, "class_index": np.array([class_index])})[0]
        np.testing.assert_allclose(row, alone[0], atol=1e-5)


def test_scorecam_gets_the_tokens_as_a_map(
    transformer: Callable[..., Any], image: Callable[..., Array], session_of: Callable[..., Any]
) -> None:
    net = transformer()
    model = net.of_class_token(net.block(net.embed(1)))
    attached = attach_gradcam(model, method="scorecam").model
    attached.graph.output.extend(net.head.model(net.norms[-1]).graph.output)
    features, tokens = session_of(attached).run(
        ["heatmap_features", net.norms[-1]], {"image": image((8, 3, 4))}
    )
    np.testing.assert_array_equal(features, tokens[:, 1:].transpose(0, 2, 1).reshape(1, 8, *GRID))
