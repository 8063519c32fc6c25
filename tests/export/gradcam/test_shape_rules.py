"""Gradients of operators that move numbers, in the form of each opset, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Draw = Callable[[Any], str]


def _slice(head: Any, starts: list[int], ends: list[int], axes: list[int], steps: list[int]) -> str:
    return head.node("Slice", "features", *(head.integers(*bounds) for bounds in (starts, ends, axes, steps)))


def _split(head: Any) -> str:
    if head.opset >= 13:
        parts = head.many("Split", ["features", head.integers(1, 3, 1)], 3, axis=3)
    else:
        parts = head.many("Split", ["features"], 3, axis=3, split=[1, 3, 1])
    return head.node("Concat", parts[2], head.node("Exp", parts[0]), axis=3)


def _folded(head: Any) -> str:
    """A shape computed at run time, as torch exports `x.view(x.size(0), -1)`."""
    batch = head.node("Gather", head.node("Shape", "features"), head.weight(0, np.int64), axis=0)
    shape = head.node("Concat", head.with_axes("Unsqueeze", batch, [0], 13), head.integers(60), axis=0)
    return head.node("Reshape", "features", shape)


def _constant_pads(head: Any) -> str:
    """Margins computed from constants, as torch exports `F.pad`."""
    zeros = head.node("Cast", head.weight([0, 0]), to=7)
    return head.node("Pad", "features", head.node("Concat", zeros, head.integers(1, 0, 0, 0, 2, 0), axis=0))


MOVES: dict[str, Draw] = {
    "flatten": lambda h: h.node("Flatten", "features", axis=1),
    "reshape": lambda h: h.node("Reshape", "features", h.integers(0, 5, -1)),
    "reshape by a computed shape": _folded,
    "squeeze": lambda h: h.with_axes("Squeeze", _pooled(h), [2, 3], 13),
    "unsqueeze": lambda h: h.with_axes("Unsqueeze", "features", [1, 4], 13),
    "transpose": lambda h: h.node("Transpose", "features", perm=[0, 2, 3, 1]),
    "transpose of all": lambda h: h.node(
        "Transpose", h.node("Reshape", h.node("Transpose", "features"), h.integers(5, 12, -1)), perm=[2, 1, 0]
    ),
    "concatenation": lambda h: h.node("Concat", "features", h.node("Exp", "features"), axis=1),
    "concatenation of spread gradients": lambda h: h.node("Concat", _pooled(h), _pooled(h), axis=-1),
    "split": _split,
    "slice": lambda h: _slice(h, [1, -3], [3, 5], [1, 3], [1, 1]),
    "slice with a step": lambda h: _slice(h, [0], [5], [3], [2]),
    "slice backwards": lambda h: _slice(h, [-1], [-(2**63)], [2], [-1]),
    "slice to the end": lambda h: _slice(h, [1], [2**63 - 1], [-1], [1]),
    "one of a stack": lambda h: h.node("Gather", "features", h.weight(-2, np.int64), axis=2),
    "some of a stack, twice": lambda h: h.node("Gather", "features", h.integers(3, 0, 3), axis=3),
    "pad": lambda h: h.node("Pad", "features", h.integers(0, 0, 1, 2, 0, 0, 0, 1)),
    "pad by a negative margin": lambda h: h.node("Pad", "features", h.integers(0, 0, -1, 2, 0, 0, 0, -1)),
    "pad by mirroring": lambda h: h.node(
        "Pad", "features", h.integers(0, 0, 1, 2, 0, 0, 3, 1), mode="reflect"
    ),
    "pad by repeating": lambda h: h.node("Pad", "features", h.integers(0, 0, 1, 2, 0, 0, 3, 1), mode="edge"),
    "pad by constants": _constant_pads,
    "expand": lambda h: h.node("Expand", _pooled(h), h.integers(1, 3, 2, 5)),
    "tile": lambda h: h.node("Tile", "features", h.integers(1, 2, 1, 3)),
    "cumulative sum": lambda h: h.node("CumSum", "features", h.weight(-1, np.int64)),
    "cumulative sum from the end": lambda h: h.node(
        "CumSum", "features", h.weight(2, np.int64), exclusive=1, reverse=1
    ),
    "depth to space": lambda h: h.node("DepthToSpace", _four(h), blocksize=2),
    "depth to space by channel": lambda h: h.node("DepthToSpace", _four(h), blocksize=2, mode="CRD"),
    "space to depth": lambda h: h.node("SpaceToDepth", _even(h), blocksize=2),
    "cast": lambda h: h.node("Cast", h.node("Cast", "features", to=11), to=1),
    "sum": lambda h: h.with_axes("ReduceSum", "features", [2, 3], 13, keepdims=0),
    "sum of channels": lambda h: h.with_axes("ReduceSum", "features", [-3], 13),
    "mean": lambda h: h.with_axes("ReduceMean", "features", [2, 3], 18, keepdims=0),
    "mean of a mean": lambda h: h.with_axes("ReduceMean", _mean(h), [2], 18, keepdims=0),
    "maximum": lambda h: h.with_axes("ReduceMax", "features", [2, 3], 18, keepdims=0),
    "minimum": lambda h: h.with_axes("ReduceMin", "features", [1], 18),
    "norm": lambda h: h.with_axes("ReduceL2", "features", [1], 18),
    "sum of squares": lambda h: h.with_axes("ReduceSumSquare", "features", [1, 2], 18, keepdims=0),
    "global average": lambda h: h.node("GlobalAveragePool", h.node("Exp", "features")),
    "global maximum": lambda h: h.node("GlobalMaxPool", "features"),
    "sum of sizes": lambda h: h.with_axes("ReduceL1", "features", [2, 3], 18, keepdims=0),
    "logarithm of a sum": lambda h: h.with_axes("ReduceLogSum", h.node("Exp", "features"), [1], 18),
    "logarithm of a sum of powers": lambda h: h.with_axes("ReduceLogSumExp", "features", [2, 3], 18),
    "product": lambda h: h.with_axes("ReduceProd", "features", [3], 18, keepdims=0),
    "average of the whole": lambda h: h.node("AveragePool", "features", kernel_shape=[4, 5]),
}


def _four(head: Any) -> str:
    return head.node("Concat", "features", "features", "features", "features", axis=1)


def _even(head: Any) -> str:
    return head.node("Pad", "features", head.integers(0, 0, 0, 0, 0, 0, 0, 1))


def _pooled(head: Any) -> str:
    return head.node("GlobalAveragePool", "features")


def _mean(head: Any) -> str:
    return head.with_axes("ReduceMean", "features", [2], 18, keepdims=0)


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize("move", MOVES)
def test_the_gradient_of_a_shape_operator_is_its_finite_difference(
    move: str,
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=opset)
    assert_exact_gradient(head.classify(MOVES[move](head)), image())


def test_a_pad_node_may_name_its_axes(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    head = sketch(opset=18)
    padded = head.node("Pad", "features", head.integers(1, 2), head.weight(0.0), head.integers(-1))
    assert_exact_gradient(head.classify(padded), image())


@pytest.mark.parametrize("upper", [0, 1])
def test_a_triangle_has_the_gradient_of_its_places(
    upper: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    triangle = head.node("Trilu", head.node("GlobalAveragePool", "features"), upper=upper)
    spread = head.node("Trilu", "features", head.weight(1, np.int64), upper=upper)
    assert_exact_gradient(head.classify(head.node("Mul", spread, triangle)), image())


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_the_slope_of_a_product_is_that_of_the_others_also_at_zero(
    zeros: int, sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    head = sketch(dims=(1, 1, 4))
    product = head.node("Flatten", head.with_axes("ReduceProd", "features", [3], 18))
    model = head.model(head.node("MatMul", product, head.weight([[1, -2]])))
    image = np.array([[[[2, 3, 5, 7]]]], np.float32)
    image[..., :zeros] = 0
    expected = [[105, 70, 42, 30], [105, 0, 0, 0], [0, 0, 0, 0]][zeros]
    gradient = gradient_session(model).run(None, {"image": image, "class_index": np.array([0])})[-1]
    np.testing.assert_allclose(gradient.ravel(), expected, rtol=1e-6)


def test_equal_maxima_share_the_gradient(
    sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    head = sketch(dims=(1, 2, 2))
    model = head.classify(head.node("GlobalMaxPool", "features"))
    image = np.array([[[[2, 1], [0, 2]]]], np.float32)
    gradient = gradient_session(model).run(None, {"image": image, "class_index": np.array([0])})[-1][0, 0]
    assert gradient[0, 0] == gradient[1, 1] != 0
    assert gradient[0, 1] == gradient[1, 0] == 0


def test_the_gradient_passes_straight_through_a_quantiser(
    sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    def drawn(quantised: bool) -> Any:
        head = sketch()
        tensor = head.node("Tanh", "features")
        if quantised:
            grid = (head.weight(0.01), head.weight(0, np.int8))
            tensor = head.node("DequantizeLinear", head.node("QuantizeLinear", tensor, *grid), *grid)
        return gradient_session(head.classify(tensor))

    feeds = {
        "image": np.random.default_rng(1).normal(size=(1, 3, 4, 5)).astype("f"),
        "class_index": np.array([1]),
    }
    plain, straight = (drawn(quantised).run(None, feeds)[-1] for quantised in (False, True))
    np.testing.assert_array_equal(straight, plain)
