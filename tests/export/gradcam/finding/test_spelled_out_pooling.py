"""Poolings that exporters spell out in smaller operators are no maps of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spyglass_export.gradcam import attach_gradcam


def _blocks(head: Any, tensor: str) -> str:
    return str(head.node("Reshape", tensor, head.integers(0, 4, 2, 3, 2, 4)))


def _overlapping(head: Any, tensor: str) -> str:
    """Windows of 6x8 places: rows 0-2, 2-4, 3-5; columns 0-4, 3-7."""
    rows = head.node("Gather", tensor, head.integers(0, 1, 2, 2, 3, 4, 3, 4, 5), axis=2)
    columns = head.node("Gather", rows, head.integers(0, 1, 2, 3, 4, 3, 4, 5, 6, 7), axis=3)
    return str(head.node("Reshape", columns, head.integers(0, 4, 3, 3, 2, 5)))


@pytest.mark.parametrize("windows", [_blocks, _overlapping])
@pytest.mark.parametrize("operator", ["ReduceMean", "ReduceMax", "ReduceMin"])
def test_the_map_before_a_spelled_out_pooling_is_explained(
    operator: str, windows: Callable[[Any, str], str], sketch: Callable[..., Any]
) -> None:
    head = sketch((4, 6, 8))
    features = head.node("Relu", head.node("Conv", "features", head.normal(4, 4, 1, 1)))
    pooled = head.node(operator, windows(head, features), axes=[3, 5], keepdims=0)
    assert attach_gradcam(head.classify(pooled)).layer == features


def test_a_maximum_over_channels_is_a_map(sketch: Callable[..., Any]) -> None:
    head = sketch((4, 6, 8))
    parts = head.node(
        "Reshape", head.node("Conv", "features", head.normal(4, 4, 1, 1)), head.integers(0, 2, 2, 6, 8)
    )
    largest = head.node("ReduceMax", parts, axes=[2], keepdims=0)
    assert attach_gradcam(head.classify(largest)).layer == largest
