"""Vision transformers: which tensor is explained, and which tensors of attention are none to explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass_export.gradcam import FeatureMapError, attach_gradcam

# The copying convolution of a sketch stands for the one that makes tokens of patches.
DIMS = (8, 3, 4)
HEADS, PLACES = 2, 12


def _tokens(head: Any) -> str:
    """[batch, places, channels]."""
    rows = head.node("Reshape", "features", head.integers(0, 8, PLACES))
    return head.node("Transpose", rows, perm=[0, 2, 1])


def _parted(head: Any, tokens: str, number: int) -> str:
    """A projection of tokens, [batch, number, heads, numbers]."""
    projected = head.node("MatMul", tokens, head.normal(8, 8))
    return head.node("Reshape", projected, head.integers(0, number, HEADS, 4))


def _plain(head: Any, tokens: str, number: int) -> str:
    return head.node("Transpose", _parted(head, tokens, number), perm=[0, 2, 1, 3])


def _normalised(head: Any, tokens: str, number: int) -> str:
    """A normalisation over the numbers of each head, as in ViT-22B."""
    normal = head.node("LayerNormalization", _parted(head, tokens, number), head.normal(4), head.normal(4))
    return head.node("Transpose", normal, perm=[0, 2, 1, 3])


def _projected_by_head(head: Any, tokens: str, number: int) -> str:
    """The same small product for every head."""
    small = head.node("MatMul", _parted(head, tokens, number), head.normal(4, 4))
    return head.node("Transpose", small, perm=[0, 2, 1, 3])


Projection = Callable[[Any, str, int], str]


def _attention(head: Any, queries: str, number: int, tokens: str, projection: Projection) -> str:
    """The result of attention for `number` queries: [batch, heads, number, numbers]."""
    query = projection(head, queries, number)
    key, value = (projection(head, tokens, PLACES) for _ in range(2))
    turned = head.node("Transpose", key, perm=[0, 1, 3, 2])
    weights = head.node("MatMul", query, turned)
    return head.node("MatMul", head.node("Softmax", weights, axis=-1), value)


def _vision_transformer(head: Any, projection: Projection) -> Any:
    """One block of attention with a residual sum, the mean of the tokens, and a product."""
    tokens = _tokens(head)
    mixed = _attention(head, tokens, PLACES, tokens, projection)
    joined = head.node(
        "Reshape", head.node("Transpose", mixed, perm=[0, 2, 1, 3]), head.integers(0, PLACES, 8)
    )
    total = head.node("Add", tokens, head.node("MatMul", joined, head.normal(8, 8)))
    mean = head.with_axes("ReduceMean", total, [1], 18, keepdims=0)
    return head.model(head.node("MatMul", mean, head.normal(8, 3)))


def _attention_pooling(head: Any, projection: Projection) -> Any:
    """Attention pooling as in CLIP: the mean of the places is the query, the places are keys and values."""
    tokens = _tokens(head)
    mean = head.with_axes("ReduceMean", tokens, [1], 18)
    read = _attention(head, mean, 1, tokens, projection)
    return head.model(head.node("MatMul", head.node("Reshape", read, head.integers(0, 8)), head.normal(8, 3)))


def _attention_with_heads_in_the_batch(head: Any) -> Any:
    """Attention as in torch.nn.MultiheadAttention, which stacks heads along the batch."""

    def parted(tokens: str, number: int) -> str:
        turned = _plain(head, tokens, number)
        return head.node("Reshape", turned, head.integers(-1, number, 4))

    tokens = _tokens(head)
    query = parted(head.with_axes("ReduceMean", tokens, [1], 18), 1)
    key, value = parted(tokens, PLACES), parted(tokens, PLACES)
    weights = head.node("MatMul", query, head.node("Transpose", key, perm=[0, 2, 1]))
    read = head.node("MatMul", head.node("Softmax", weights, axis=-1), value)
    flat = head.node("Reshape", read, head.integers(-1, 8))
    return head.model(head.node("MatMul", flat, head.normal(8, 3)))


PROJECTIONS = [_plain, _normalised, _projected_by_head]
NETWORKS = [_vision_transformer, _attention_pooling]
Network = Callable[[Any, Projection], Any]


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_the_tokens_behind_the_last_block_are_explained_if_they_are_averaged(
    projection: Projection, sketch: Callable[..., Any]
) -> None:
    model = _vision_transformer(sketch(DIMS), projection)
    (total,) = [node for node in model.graph.node if node.op_type == "Add"]
    attached = attach_gradcam(model)
    assert attached.layer == total.output[0]
    assert attached.notices == ()


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_the_map_before_attention_pooling_is_explained(
    projection: Projection, sketch: Callable[..., Any]
) -> None:
    assert attach_gradcam(_attention_pooling(sketch(DIMS), projection)).layer == "features"


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_no_tensor_of_the_attention_is_accepted_as_feature_map(
    network: Network, projection: Projection, sketch: Callable[..., Any]
) -> None:
    model = network(sketch(DIMS), projection)
    (attention,) = [node for node in model.graph.node if node.op_type == "Softmax"]
    read = next(node for node in model.graph.node if attention.output[0] in node.input)
    for name in (attention.output[0], *read.input, *read.output):
        with pytest.raises(
            FeatureMapError,
            match=r"must hold numbers for several .*; choose, for example",
        ):
            attach_gradcam(model, feature_map=name)


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_gradient_of_a_convolution_before_attention_is_its_finite_difference(
    network: Network,
    projection: Projection,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    model = network(sketch(DIMS), projection)
    assert_exact_gradient(model, image(DIMS))
    assert attach_gradcam(model, feature_map="features").layer == "features"


def test_attention_with_heads_in_the_batch_is_explained(
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
    session_of: Callable[..., Any],
) -> None:
    model = _attention_with_heads_in_the_batch(sketch(DIMS))
    attached = attach_gradcam(model)
    assert attached.layer == "features"
    assert_exact_gradient(model, image(DIMS))
    session = session_of(attached.model)
    images = np.concatenate([image(DIMS, seed) for seed in range(3)])
    together = session.run(["heatmap"], {"image": images, "class_index": np.array([1, 0, 2])})[0]
    for index, class_index in enumerate((1, 0, 2)):
        feeds = {"image": images[index : index + 1], "class_index": np.array([class_index])}
        np.testing.assert_allclose(together[index], session.run(["heatmap"], feeds)[0][0], atol=1e-5)
