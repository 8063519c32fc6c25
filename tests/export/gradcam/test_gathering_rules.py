"""Gradients of operators that read or write elements at indices, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

Draw = Callable[[Any], str]


def _best(head: Any, tensor: str, axis: int) -> str:
    """The index of the largest number along an axis, kept with size 1: known only at run time."""
    return head.node("ArgMax", tensor, axis=axis, keepdims=1)


def _topk(head: Any, k: int, axis: int, **attributes: Any) -> str:
    return head.many("TopK", ["features", head.integers(k)], 2, axis=axis, **attributes)[0]


def _table_at_run_time(head: Any) -> str:
    """A table that the graph computes from a random number, so that no value is known before."""
    noise = head.node("RandomUniform", shape=[1], low=1.0, high=1.5)
    one = head.node("Cast", noise, to=TensorProto.INT64)
    return head.node(
        "Gather", "features", head.node("Mul", head.weight([[0, 1], [-1, 1]], np.int64), one), axis=3
    )


def _expert(head: Any) -> str:
    """The numbers at the largest gates, as a mixture of experts picks them."""
    gates = head.with_axes("ReduceMean", "features", [2, 3], 18, keepdims=0)
    best = head.many("TopK", [gates, head.integers(2)], 2, axis=1)[1]
    numbers = head.with_axes("ReduceMax", "features", [2, 3], 18, keepdims=0)
    return str(head.node("GatherElements", numbers, best, axis=1))


def _elements_of_less(head: Any) -> str:
    """Indices that cover a part of the other axes."""
    part = head.node("Slice", "features", head.integers(1), head.integers(3), head.integers(2))
    part = head.node("Slice", part, head.integers(0), head.integers(2), head.integers(1))
    return head.node("GatherElements", "features", _best(head, part, 3), axis=3)


def _by_coordinates(head: Any, *places: tuple[int, ...], batch_dims: int) -> str:
    """GatherND at constant coordinates, with the batch as shared axis or as a coordinate computed."""
    batch = head.node("Slice", head.node("Shape", "features"), head.integers(0), head.integers(1))
    table = head.weight(places, np.int64)
    shape = head.node("Concat", batch, head.integers(*np.shape(places)), axis=0)
    return head.node("GatherND", "features", head.node("Expand", table, shape), batch_dims=batch_dims)


READINGS: dict[str, Draw] = {
    "table of indices": lambda h: h.node("Gather", "features", h.weight([[0, 1], [-1, 1]], np.int64), axis=3),
    "table of indices of 32 bits": lambda h: h.node(
        "Gather", "features", h.weight([[0, 1], [-1, 1]], np.int32), axis=1
    ),
    "the same index many times": lambda h: h.node("Gather", "features", h.weight([2] * 12, np.int64), axis=2),
    "elements at the largest": lambda h: h.node(
        "GatherElements", "features", _best(h, "features", 3), axis=3
    ),
    "elements of a part": _elements_of_less,
    "experts": _expert,
    "largest along the last axis": lambda h: _topk(h, 2, -1),
    "table computed at run time": _table_at_run_time,
    "smallest channels": lambda h: _topk(h, 2, 1, largest=0, sorted=0),
}


@pytest.mark.parametrize("opset", [12, 16, 18])
@pytest.mark.parametrize("reading", READINGS)
def test_the_gradient_of_a_reading_is_its_finite_difference(
    reading: str,
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=opset)
    assert_exact_gradient(head.classify(READINGS[reading](head)), image())


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("places", [((0, 1), (2, -1), (0, 1)), ((1,), (1,), (-3,)), ((2, 3, 4), (0, 0, 0))])
def test_the_gradient_of_a_reading_by_coordinates_is_its_finite_difference(
    places: tuple[tuple[int, ...], ...],
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=opset)
    assert_exact_gradient(head.classify(_by_coordinates(head, *places, batch_dims=1)), image())


@pytest.mark.parametrize("opset", [13, 18])
def test_the_batch_may_lie_behind_the_axes_of_coordinates(
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    """As in torch's adaptive pooling to a size that does not divide."""
    head = sketch(opset=opset)
    turned = head.node("Transpose", "features", perm=[2, 3, 0, 1])
    places = head.weight([[[0, 0], [0, 1]], [[3, -1], [0, 1]]], np.int64)
    read = head.node("Transpose", head.node("GatherND", turned, places), perm=[2, 3, 0, 1])
    assert_exact_gradient(head.classify(read), image())


# Files with a built-in batch of one image.
OF_ONE_IMAGE: dict[str, Draw] = {
    "elements at constant indices": lambda h: h.node(
        "GatherElements", "features", h.weight(np.arange(60).reshape(1, 3, 4, 5) % 4, np.int64), axis=2
    ),
    "elements over the features": lambda h: h.node(
        "ScatterElements",
        "features",
        h.weight([[[[1], [0]]]], np.int64),
        h.weight([[[[3.0], [4.0]]]]),
        axis=3,
    ),
    "the features over elements": lambda h: h.node(
        "ScatterElements",
        h.node("Exp", "features"),
        h.weight(np.tile([4, 2, 0, 1, 3], (1, 3, 4, 1)), np.int64),
        "features",
        axis=3,
    ),
    "slices over the features": lambda h: h.node(
        "ScatterND", "features", h.weight([[0, 1], [0, 2]], np.int64), h.normal(2, 4, 5)
    ),
}


@pytest.mark.parametrize("form", OF_ONE_IMAGE)
def test_the_gradient_for_a_built_in_batch_is_its_finite_difference(
    form: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    model = head.classify(OF_ONE_IMAGE[form](head))
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    assert_exact_gradient(model, image())
