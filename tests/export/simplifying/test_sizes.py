"""Sizes and bounds that a graph computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from spyglass_export.simplifying import simplified

Simpler = Callable[[onnx.ModelProto], list[str]]


def _vector(network: Any, *sizes: str | int) -> str:
    parts = [
        network.weight([size])
        if isinstance(size, int)
        else network.node("Unsqueeze", size, network.weight([0]))
        for size in sizes
    ]
    return str(network.node("Concat", *parts, axis=0))


def test_a_reshape_to_computed_sizes_without_the_batch_becomes_constant(draft: Any, simpler: Simpler) -> None:
    network = draft(4, 6, 8)
    half = network.node("Div", network.size("image", 2), network.weight(2))
    target = _vector(network, -1, 4, 2, half, 8)
    assert simpler(network.model(network.node("Reshape", "image", target))) == ["Reshape"]


def test_a_reshape_to_sizes_with_the_batch_stays(draft: Any, simpler: Simpler) -> None:
    network = draft(4, 6)
    target = _vector(network, network.size("image", 0), 24)
    operators = ["Shape", "Gather", "Unsqueeze", "Concat", "Reshape"]
    assert simpler(network.model(network.node("Reshape", "image", target))) == operators


def test_an_expand_keeps_the_sizes_that_a_tensor_has(draft: Any, simpler: Simpler) -> None:
    network = draft(1, 6)
    target = _vector(network, network.size("image", 0), 5, network.size("image", 2))
    assert simpler(network.model(network.node("Expand", "image", target))) == ["Expand"]


def test_an_expand_to_a_batch_stays(draft: Any, simpler: Simpler) -> None:
    """As the class token of a transformer."""
    network = draft(2, 6)
    mean = network.node("ReduceMean", "image", axes=[0])
    target = _vector(network, network.size("image", 0), 2, 6)
    assert "Concat" in simpler(network.model(network.node("Expand", mean, target)))


def test_bounds_of_a_slice_become_constants(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 6)
    half = network.node("Div", network.size("image", 2), network.weight(2))
    end = network.node("Unsqueeze", half, network.weight([0]))
    cut = network.node("Slice", "image", network.weight([0]), end, network.weight([2]))
    assert simpler(network.model(cut)) == ["Slice"]


def test_a_bound_that_grows_with_the_batch_stays(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 6)
    end = network.node("Unsqueeze", network.size("image", 0), network.weight([0]))
    cut = network.node("Slice", "image", network.weight([0]), end, network.weight([2]))
    assert simpler(network.model(cut)) == ["Shape", "Gather", "Unsqueeze", "Slice"]


def test_real_numbers_made_from_sizes_become_constants(draft: Any, simpler: Simpler) -> None:
    """As the scale of attention: one over the square root of a size."""
    network = draft(2, 6)
    size = network.node("Cast", network.size("image", 2), to=TensorProto.FLOAT)
    scale = network.node("Div", network.weight(1, np.float32), network.node("Sqrt", size))
    assert simpler(network.model(network.node("Mul", "image", scale))) == ["Mul"]


def test_a_cumulative_sum_along_an_axis_in_a_list(draft: Any, simpler: Simpler) -> None:
    """As torch's older exporter writes `diagonal`."""
    network = draft(2, 6)
    shape = network.node("Slice", network.node("Shape", "image"), network.weight([2]), network.weight([3]))
    ones = network.node("ConstantOfShape", shape, value=numpy_helper.from_array(np.array([1])))
    places = network.node("Sub", network.node("CumSum", ones, network.weight([0])), network.weight(1))
    assert simpler(network.model(network.node("Gather", "image", places, axis=2))) == ["Gather"]


def test_real_numbers_whose_rounding_could_differ_stay(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 6)
    size = network.node("Cast", network.size("image", 2), to=TensorProto.FLOAT)
    steps = network.node("Range", network.weight(0, "f"), size, network.weight(1, "f"))
    power = network.node("Pow", network.weight(10000, "f"), network.node("Div", steps, size))
    assert "Pow" in simpler(network.model(network.node("Mul", "image", power)))


def test_a_table_larger_than_what_a_node_computes_stays(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3000)
    table = network.node("Expand", network.weight(1, "f"), _vector(network, network.size("image", 2), 2))
    best = network.node("ArgMax", network.node("ReduceMean", "image", axes=[1], keepdims=0), axis=1)
    assert "Expand" in simpler(network.model(network.node("Gather", table, best)))


def test_a_declared_batch_of_one_is_not_written_into_computed_sizes(draft: Any, simpler: Simpler) -> None:
    """So that it can still be freed."""
    network = draft(1, 6, batch=1)
    target = _vector(network, network.size("image", 0), 5, network.size("image", 2))
    simple = simplified(network.model(network.node("Expand", "image", target)))
    simple.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    assert simpler(simple) == ["Expand"]


def test_a_table_too_large_for_memory_is_not_computed(draft: Any) -> None:
    network = draft(2, 6)
    target = _vector(network, network.size("image", 2), 10**6, 10**6)
    table = network.node("Expand", network.weight(1), target)
    model = network.model(network.node("Gather", "image", table, axis=2))
    assert [node.op_type for node in simplified(model).graph.node][-2:] == ["Expand", "Gather"]


def test_a_size_that_stays_free_is_not_settled(draft: Any) -> None:
    network = draft(2, 6)
    end = network.node("Unsqueeze", network.size("image", 2), network.weight([0]))
    model = network.model(network.node("Slice", "image", network.weight([0]), end, network.weight([1])))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "width"
    assert [node.op_type for node in simplified(model).graph.node] == [
        "Shape",
        "Gather",
        "Unsqueeze",
        "Slice",
    ]


def test_nodes_that_no_output_needs_stay(draft: Any) -> None:
    network = draft(1, 6)
    network.node("Exp", network.node("Shape", "image", output="shape"))
    target = _vector(network, network.size("image", 0), 12, 6)
    simple = simplified(network.model(network.node("Expand", "image", target)))
    assert [node.op_type for node in simple.graph.node] == ["Shape", "Exp", "Expand"]
