"""Feature maps that a user names: which are accepted, and what is told of the evidence around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass_export.gradcam import FeatureMapError, attach_gradcam

Array = np.ndarray[Any, Any]


def test_named_tokens_are_explained_exactly(
    transformer: Callable[..., Any],
    image: Callable[..., Array],
    gradient_by_differences: Callable[..., tuple[Array, Array]],
    session_of: Callable[..., Any],
) -> None:
    net = transformer()
    model = net.of_class_token(net.block(net.block(net.embed(1))))
    attached = attach_gradcam(model, feature_map=net.streams[-1])
    assert attached.layer == net.streams[-1]
    assert attached.notices == ()
    feeds = {"image": image((8, 3, 4)), "class_index": np.array([1])}
    found = session_of(attached.model).run(["heatmap"], feeds)[0][0]
    value, gradient = gradient_by_differences(model, net.streams[-1], feeds["image"], 1)
    raw = np.maximum((value[1:] * gradient[1:].mean(0)).sum(-1), 0).reshape(3, 4)
    np.testing.assert_allclose(found, raw / raw.max(), atol=5e-3)


def test_evidence_around_a_named_map_is_told(transformer: Callable[..., Any]) -> None:
    net = transformer()
    model = net.of_class_token(net.block(net.block(net.embed(1))))
    # The stream around the first normalisation carries the patches to the second block.
    attached = attach_gradcam(model, feature_map=net.norms[0])
    assert attached.notices == (
        f"a part of the evidence goes around '{net.norms[0]}': its heatmap shows only the other part",
    )
    # That around the last one carries only the class token.
    assert attach_gradcam(model, feature_map=net.norms[-1]).notices == ()


def test_a_named_map_that_the_scores_do_not_read_is_told(transformer: Callable[..., Any]) -> None:
    net = transformer()
    last = net.block(net.embed(1))
    attached = attach_gradcam(net.of_class_token(last), feature_map=last)
    assert attached.notices == (
        f"the class scores do not depend on '{last}' at any place: its heatmaps are 0",
    )


@pytest.mark.parametrize("which", ["query", "key", "value", "weights", "heads"])
def test_what_attention_compares_is_no_map(which: str, transformer: Callable[..., Any]) -> None:
    net = transformer()
    head, stream = net.head, net.embed(1)
    normal = net.normalise(stream)
    projections = dict(zip(("query", "key", "value"), (net.product(normal) for _ in range(3)), strict=True))
    parted = [net.parted(each) for each in projections.values()]
    mixed = head.node("Add", stream, net.product(net.attend(*parted)))
    model = net.of_class_token(mixed)
    softmax = next(node.output[0] for node in model.graph.node if node.op_type == "Softmax")
    names = {**projections, "weights": softmax, "heads": parted[0]}
    with pytest.raises(FeatureMapError, match=f"'{names[which]}'.*; choose, for example, '{normal}'"):
        attach_gradcam(model, feature_map=names[which])


def test_a_mask_of_one_channel_is_not_chosen(sketch: Callable[..., Any]) -> None:
    head = sketch((4, 5, 6))
    features = head.node("Relu", head.node("Conv", "features", head.normal(4, 4, 1, 1)))
    mask = head.node("Reshape", head.node("Conv", features, head.normal(1, 4, 1, 1)), head.integers(0, 30, 1))
    weights = head.node("Softmax", mask, axis=1)
    rows = head.node("Reshape", features, head.integers(0, 4, 30))
    context = head.node("Flatten", head.node("MatMul", rows, weights))
    attached = attach_gradcam(head.model(head.node("MatMul", context, head.normal(4, 3))))
    assert attached.layer == features
    assert attached.notices == ()
