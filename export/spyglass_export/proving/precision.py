"""A graph that computes in another precision.

A difference of two scores that lie close together has few correct digits in float32, and none in float16. So
the checks run a graph in double precision. ONNX Runtime has no double precision for some operators; those run
in float32, between conversions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.gradcam.skeleton import skeleton
from spyglass_export.proving.substitutes import Types, substitute

_REAL = frozenset({TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE})
# ONNX Runtime converts larger weights when it loads the graph: a graph cannot hold 2 GB.
_LARGE = 1_000_000


def in_precision(graph: onnx.ModelProto, element: int, single: Collection[str] = ()) -> onnx.ModelProto:
    """Return a graph with real numbers of the type `element`, except inside operators named in `single`."""
    types = _types(graph)
    opset = next(each.version for each in graph.opset_import if each.domain in ("", "ai.onnx"))
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    del changed.graph.node[:], changed.graph.value_info[:]
    for value in (*changed.graph.input, *changed.graph.output):
        if value.type.tensor_type.elem_type in _REAL:
            value.type.tensor_type.elem_type = element
    for tensor in changed.graph.initializer:
        if tensor.data_type in _REAL and math.prod(tensor.dims) > _LARGE:
            stored = f"{tensor.name} as stored"
            changed.graph.node.append(helper.make_node("Cast", [stored], [tensor.name], to=element))
            tensor.name = stored
        else:
            tensor.CopyFrom(_converted(tensor, element))
    for node in graph.graph.node:
        if element == TensorProto.DOUBLE and (replaced := substitute(node, types, opset)):
            changed.graph.node.extend(replaced)
        elif node.op_type in single:
            changed.graph.node.extend(_in_float32(node, types, element))
        else:
            changed.graph.node.extend(_in_type(node, element))
    return changed


def _types(graph: onnx.ModelProto) -> Types:
    """The types of the tensors, as far as ONNX can infer them."""
    inferred = onnx.shape_inference.infer_shapes(skeleton(graph), data_prop=True).graph
    return {
        value.name: value.type.tensor_type
        for values in (inferred.input, inferred.value_info, inferred.output)
        for value in values
    } | {
        tensor.name: helper.make_tensor_type_proto(tensor.data_type, tensor.dims).tensor_type
        for tensor in inferred.initializer
    }


def _converted(tensor: onnx.TensorProto, element: int) -> onnx.TensorProto:
    if tensor.data_type not in _REAL or tensor.data_type == element:
        return tensor
    kind = helper.tensor_dtype_to_np_dtype(element)
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), tensor.name)


def _in_type(node: onnx.NodeProto, element: int) -> Iterator[onnx.NodeProto]:
    """A node with the types in its attributes changed. Weights are unpacked in float32."""
    copy, kind = onnx.NodeProto(), helper.tensor_dtype_to_np_dtype(element)
    copy.CopyFrom(node)
    if node.op_type == "QuantizeLinear":
        # Of a weight; the others are left out, see `without_rounding`.
        yield from _with_casts(copy, {0: TensorProto.FLOAT, 1: TensorProto.FLOAT}, {}, element)
        return
    if node.op_type == "DequantizeLinear":
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
