"""Gradients of interpolations, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

RESIZINGS: dict[str, dict[str, Any]] = {
    "nearest": {"mode": "nearest"},
    "nearest as torch writes it": {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    },
    "linear": {"mode": "linear"},
    "linear with corners": {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    "linear of torch": {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
    "cubic": {"mode": "cubic", "cubic_coeff_a": -0.5},
}


@pytest.mark.parametrize("sizes", [(8, 10), (7, 3), (4, 9)])
@pytest.mark.parametrize("resizing", RESIZINGS)
def test_the_gradient_of_a_resizing_to_sizes_is_its_finite_difference(
    resizing: str,
    sizes: tuple[int, int],
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=13)
    target = head.node("Concat", _batch(head), head.integers(3, *sizes), axis=0)
    resized = head.node("Resize", "features", "", "", target, **RESIZINGS[resizing])
    assert_exact_gradient(head.classify(resized), image())


@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("resizing", RESIZINGS)
def test_the_gradient_of_a_resizing_by_factors_is_its_finite_difference(
    resizing: str,
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=opset)
    region = head.weight([]) if opset < 13 else ""
    factors = head.weight([1, 1, 1.6, 2])
    resized = head.node("Resize", "features", region, factors, **RESIZINGS[resizing])
    assert_exact_gradient(head.classify(resized), image())


def test_a_resizing_without_steps_between_pixels_averages_them(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    head = sketch(opset=18)
    factors = head.weight([0.5, 0.6])
    resized = head.node("Resize", "features", "", factors, mode="linear", antialias=1, axes=[2, 3])
    assert_exact_gradient(head.classify(resized), image())


def _batch(head: Any) -> str:
    return head.node("Slice", head.node("Shape", "features"), head.integers(0), head.integers(1))
