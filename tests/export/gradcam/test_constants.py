"""Values of tensors that do not depend on the image, for operators that onnx alone cannot evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from spyglass_export.gradcam.graph_view import GraphView


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
@pytest.mark.parametrize("opset", [13, 17])
def test_a_dequantised_constant_has_a_value(domain: str, opset: int, sketch: Callable[..., Any]) -> None:
    head = sketch(opset=opset)
    grid = [head.weight([4, -2], np.int8), head.weight([0.5, 0.25]), head.weight([0, 2], np.int8)]
    head.nodes.append(helper.make_node("DequantizeLinear", grid, ["factor"], domain=domain, axis=0))
    view = GraphView(
        head.model(head.node("Mul", head.node("Flatten", "features"), head.node("ReduceSum", "factor")))
    )
    np.testing.assert_array_equal(view.constant("factor"), [2, -1])


def test_an_operator_that_rejects_its_sizes_has_no_value(sketch: Callable[..., Any]) -> None:
    head = sketch((3, "height", "width"))
    size = head.node("Slice", head.node("Shape", "features"), head.integers(2), head.integers(4))
    table = head.node("Reshape", head.normal(30), size)
    view = GraphView(head.model(head.node("Add", "features", table)))
    assert view.constant(table) is None


@pytest.mark.parametrize("hidden", [False, True], ids=["sizes that onnx infers", "sizes of a run"])
def test_windows_that_share_the_axis_of_the_batch_are_counted(
    hidden: bool, sketch: Callable[..., Any]
) -> None:
    head = sketch((6, 5, 4))
    target = head.integers(-1, 60)
    if hidden:
        # onnx follows no sizes through float32.
        tens = head.node("Mul", head.node("Cast", head.node("Shape", "features"), to=1), head.weight(10))
        sixty = head.node("Cast", head.node("Slice", tens, head.integers(1), head.integers(2)), to=7)
        target = head.node("Concat", head.integers(-1), sixty, axis=0)
    windows = head.node("Reshape", "features", target)
    first = head.integers(0)
    counts = [head.node("Gather", head.node("Shape", each), first) for each in (windows, "features")]
    ratio = head.node("Div", *counts)
    view = GraphView(head.model(head.node("Mul", windows, head.node("Cast", ratio, to=1))))
    for count in counts:
        assert view.constant(count) is None
    np.testing.assert_array_equal(view.constant(ratio), [2])
