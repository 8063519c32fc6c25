"""Gradients of normalisations, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Draw = Callable[[Any], str]


def _batch(head: Any, tensor: str, channels: int = 3) -> str:
    moments = (head.normal(channels), head.weight(np.linspace(0.5, 2, channels)))
    return head.node(
        "BatchNormalization", tensor, head.normal(channels), head.normal(channels), *moments, epsilon=1e-3
    )


def _layer(head: Any, axis: int, *dims: int) -> str:
    return head.node("LayerNormalization", "features", head.normal(*dims), head.normal(*dims), axis=axis)


def _layer_by_hand(head: Any) -> str:
    centred = head.node("Sub", "features", head.with_axes("ReduceMean", "features", [-1], 18))
    variance = head.with_axes("ReduceMean", head.node("Pow", centred, head.weight(2.0)), [-1], 18)
    return head.node("Div", centred, head.node("Sqrt", head.node("Add", variance, head.weight(1e-5))))


def _unit_length(head: Any) -> str:
    length = head.with_axes("ReduceL2", "features", [1], 18)
    return head.node("Div", "features", head.node("Max", length, head.weight(1e-12)))


NORMALISATIONS: dict[str, Draw] = {
    "batch": lambda h: _batch(h, "features"),
    "batch of vectors": lambda h: _batch(h, h.node("Flatten", "features", axis=1), 60),
    "layer": lambda h: _layer(h, -1, 5),
    "layer over several axes": lambda h: _layer(h, 1, 3, 4, 5),
    "layer by hand": _layer_by_hand,
    "instance": lambda h: h.node("InstanceNormalization", "features", h.normal(3), h.normal(3)),
    "unit length": _unit_length,
    "unit length of sizes": lambda h: h.node("LpNormalization", "features", axis=1, p=1),
    "unit length in one operator": lambda h: h.node("LpNormalization", "features", axis=-1),
    "neighbouring channels": lambda h: h.node("LRN", "features", size=3, alpha=1.5, beta=0.6, bias=0.8),
    "many neighbouring channels": lambda h: h.node("LRN", "features", size=5, alpha=0.9),
    "mean and variance": lambda h: h.node("MeanVarianceNormalization", "features", axes=[1, 3]),
}


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_gradient_of_a_normalisation_is_its_finite_difference(
    normalisation: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.classify(NORMALISATIONS[normalisation](head)), image())


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_the_gradient_of_a_group_normalisation_is_its_finite_difference(
    groups: int,
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    """Scale and offset have one number per group before opset 21, and one per channel since."""
    head = sketch((6, 3, 4), opset)
    numbers = [head.normal(groups if opset < 21 else 6) for _ in range(2)]
    normalised = head.node("GroupNormalization", "features", *numbers, num_groups=groups, epsilon=1e-3)
    assert_exact_gradient(head.classify(normalised), image((6, 3, 4)))


@pytest.mark.parametrize(("axis", "dims"), [(-1, (5,)), (1, (3, 4, 5))])
def test_the_gradient_of_a_normalisation_by_the_root_mean_square_is_its_finite_difference(
    axis: int,
    dims: tuple[int, ...],
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=23)
    normalised = head.node("RMSNormalization", "features", head.normal(*dims), axis=axis, epsilon=1e-3)
    assert_exact_gradient(head.classify(normalised), image())
