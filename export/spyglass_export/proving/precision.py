"""A graph that computes in another precision, and without the rounding of quantised tensors.

A difference of two scores that lie close together has few correct digits in float32, and none in float16 or
8 bits. So the checks run a graph in double precision. ONNX Runtime has no double precision for some
operators; those run in float32, between conversions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spyglass_contract.onnx_runtime import onnxruntime

_REAL = frozenset({TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE})
# The operator in ONNX Runtime's messages about a missing implementation, and about a wrong type.
_OPERATOR = re.compile(r"implementation for (\w+)\(|of operator \((\w+)\)")
# Larger heads are not copied in double precision.
_MOST_BYTES = 200_000_000

Types = Mapping[str, onnx.TypeProto.Tensor]


def open_precise(graph: onnx.ModelProto) -> tuple[onnxruntime.InferenceSession, type[np.floating]]:
    """Open a graph in double precision, and otherwise in float32; return it with the type of its real inputs.

    Raises what ONNX Runtime raises if it can open neither.
    """
    single: set[str] = set()
    while graph.ByteSize() < _MOST_BYTES:
        precise = in_precision(graph, TensorProto.DOUBLE, single)
        try:
            return _open(precise), np.float64
        # ONNX Runtime's exceptions have no common base class.
        except Exception as error:
            found = {name for names in _OPERATOR.findall(str(error)) for name in names if name} - single
            if not found:
                break
            single |= found
    return _open(in_precision(graph, TensorProto.FLOAT)), np.float32


def in_precision(graph: onnx.ModelProto, element: int, single: Collection[str] = ()) -> onnx.ModelProto:
    """Return a graph whose real numbers have the type `element`, except inside operators named in `single`.

    A tensor that is quantised and unpacked again keeps its numbers.
    """
    types = _types(graph)
    opset = next(each.version for each in graph.opset_import if each.domain in ("", "ai.onnx"))
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    del changed.graph.node[:], changed.graph.value_info[:]
    for value in (*changed.graph.input, *changed.graph.output):
        if value.type.tensor_type.elem_type in _REAL:
            value.type.tensor_type.elem_type = element
    for tensor in changed.graph.initializer:
        tensor.CopyFrom(_converted(tensor, element))
    quantised = _quantised(graph)
    for node in graph.graph.node:
        pooled = types.get(node.input[0]) if node.op_type == "GlobalAveragePool" else None
        if pooled is not None and pooled.HasField("shape"):
            changed.graph.node.extend(_mean(node, len(pooled.shape.dim), opset))
        elif node.op_type in single:
            changed.graph.node.extend(_in_float32(node, types, element))
        else:
            changed.graph.node.extend(_in_type(node, element, quantised))
    return changed


def _types(graph: onnx.ModelProto) -> Types:
    """The types of the tensors, as far as ONNX can infer them."""
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    return {
        value.name: value.type.tensor_type
        for values in (inferred.input, inferred.value_info, inferred.output)
        for value in values
    } | {tensor.name: onnx.TypeProto.Tensor(elem_type=tensor.data_type) for tensor in inferred.initializer}


def _quantised(graph: onnx.ModelProto) -> set[str]:
    """The quantised tensors that are computed, also those that were moved or reshaped before unpacking."""
    found: set[str] = set()
    for node in graph.graph.node:
        moved = node.op_type != "DequantizeLinear" and bool(found.intersection(node.input[:1]))
        if node.op_type == "QuantizeLinear" or moved:
            found.update(node.output)
    return found


def _converted(tensor: onnx.TensorProto, element: int) -> onnx.TensorProto:
    if tensor.data_type not in _REAL or tensor.data_type == element:
        return tensor
    kind = helper.tensor_dtype_to_np_dtype(element)
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), tensor.name)


def _in_type(node: onnx.NodeProto, element: int, quantised: Collection[str]) -> Iterator[onnx.NodeProto]:
    """A node with the types in its attributes changed."""
    unpacks = node.op_type == "DequantizeLinear"
    if node.op_type == "QuantizeLinear" or (unpacks and node.input[0] in quantised):
        yield helper.make_node("Identity", node.input[:1], node.output)
        return
    copy, kind = onnx.NodeProto(), helper.tensor_dtype_to_np_dtype(element)
    copy.CopyFrom(node)
    if unpacks:
        yield from _with_casts(copy, {1: TensorProto.FLOAT}, {0: element}, element)
        return
    for attribute in copy.attribute:
        if attribute.name in ("to", "dtype", "stash_type") and attribute.i in _REAL:
            attribute.i = element
        elif attribute.type == onnx.AttributeProto.TENSOR:
            attribute.t.CopyFrom(_converted(attribute.t, element))
    if node.op_type == "ConstantOfShape" and not node.attribute:
        copy.attribute.append(helper.make_attribute("value", numpy_helper.from_array(np.zeros(1, kind))))
    if node.op_type == "Constant" and node.attribute[0].name in ("value_float", "value_floats"):
        value = np.array(helper.get_attribute_value(node.attribute[0]), kind)
        copy.attribute[0].CopyFrom(helper.make_attribute("value", numpy_helper.from_array(value)))
    yield copy


def _in_float32(node: onnx.NodeProto, types: Types, element: int) -> Iterator[onnx.NodeProto]:
    """A node in float32, between conversions of its real inputs and outputs."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    real = {name for name, kind in types.items() if kind.elem_type in _REAL}
    reading = {index: TensorProto.FLOAT for index, name in enumerate(node.input) if name in real}
    writing = {index: element for index, name in enumerate(node.output) if name in real or name not in types}
    yield from _with_casts(copy, reading, writing, element)


def _mean(node: onnx.NodeProto, rank: int, opset: int) -> Iterator[onnx.NodeProto]:
    """A global average pooling as an operator that ONNX Runtime has in double precision."""
    places = list(range(2, rank))
    if opset < 18:
        yield helper.make_node("ReduceMean", node.input, node.output, axes=places)
        return
    axes = f"{node.output[0]} axes"
    yield helper.make_node("Constant", [], [axes], value_ints=places)
    yield helper.make_node("ReduceMean", [node.input[0], axes], node.output)


def _with_casts(
    node: onnx.NodeProto, reading: Mapping[int, int], writing: Mapping[int, int], element: int
) -> Iterator[onnx.NodeProto]:
    """A node in place, with conversions of the inputs in `reading` and of the outputs in `writing`."""
    label, after = node.output[0], []
    for index, kind in reading.items():
        name = f"{label} reads {index}"
        yield helper.make_node("Cast", [node.input[index]], [name], to=kind)
        node.input[index] = name
    for index, kind in writing.items():
        if node.output[index]:
            name = f"{label} writes {index}"
            after.append(helper.make_node("Cast", [name], [node.output[index]], to=kind))
            node.output[index] = name
    yield node
    yield from after


def _open(graph: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
