"""Nodes in place of operators that ONNX Runtime does not have in double precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from spyglass_export.proving.convolution import as_product

Types = Mapping[str, onnx.TypeProto.Tensor]


def substitute(node: onnx.NodeProto, types: Types, opset: int) -> list[onnx.NodeProto]:
    """Return nodes in place of one that ONNX Runtime lacks in double precision; empty if there are none."""
    if node.op_type == "GlobalAveragePool":
        return list(_mean(node, len(_sizes(types, node.input[0])), opset))
    if node.op_type == "Conv":
        return as_product(node, *(_sizes(types, name) for name in node.input[:2])) or []
    return list(_hard_swish(node)) if node.op_type == "HardSwish" else []


def _sizes(types: Types, name: str) -> list[int]:
    """The sizes of a tensor, 0 for an unknown one; empty if the rank is unknown."""
    return [dim.dim_value for dim in types[name].shape.dim] if name in types else []


def _mean(node: onnx.NodeProto, rank: int, opset: int) -> Iterator[onnx.NodeProto]:
    if rank < 3:
        return
    places = list(range(2, rank))
    if opset < 18:
        yield helper.make_node("ReduceMean", node.input, node.output, axes=places)
        return
    axes = f"{node.output[0]} axes"
    yield helper.make_node("Constant", [], [axes], value_ints=places)
    yield helper.make_node("ReduceMean", [node.input[0], axes], node.output)


def _hard_swish(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    """x·max(0, min(1, x/6 + 1/2))."""
    x, label = node.input[0], node.output[0]
    made = {name: f"{label} {name}" for name in ("sixth", "half", "zero", "one", "scaled", "moved", "gate")}
    for name, value in (("sixth", 1 / 6), ("half", 0.5), ("zero", 0.0), ("one", 1.0)):
        number = numpy_helper.from_array(np.array(value))
        yield helper.make_node("Constant", [], [made[name]], value=number)
    yield helper.make_node("Mul", [x, made["sixth"]], [made["scaled"]])
    yield helper.make_node("Add", [made["scaled"], made["half"]], [made["moved"]])
    yield helper.make_node("Clip", [made["moved"], made["zero"], made["one"]], [made["gate"]])
    yield helper.make_node("Mul", [x, made["gate"]], [label])
