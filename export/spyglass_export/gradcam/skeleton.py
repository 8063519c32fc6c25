"""A model without its weights, for cheap shape inference.

Large initialisers become graph inputs of the same type. So they are not copied, and ONNX's limit of 2 GB for
a message does not apply. Small initialisers stay, because the graph computes shapes from their values.
"""

from __future__ import annotations

import math

import onnx
from onnx import helper

_LARGEST_KEPT = 1024


def skeleton(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model of the same graph whose large initialisers are inputs, with copies of the nodes only."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    _copy_graph(model.graph, light.graph)
    return light


def _copy_graph(source: onnx.GraphProto, target: onnx.GraphProto) -> None:
    target.name = source.name or "graph"
    target.input.extend(source.input)
    target.output.extend(source.output)
    target.value_info.extend(source.value_info)
    target.node.extend(source.node)
    declared = {value.name for value in source.input}
    for tensor in source.initializer:
        if is_small(tensor):
            target.initializer.append(tensor)
        elif tensor.name not in declared:
            target.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))


def is_small(tensor: onnx.TensorProto) -> bool:
    """Return whether an initialiser may hold sizes, axes or bounds, and is stored in the file itself."""
    inside = tensor.data_location != onnx.TensorProto.EXTERNAL
    return inside and math.prod(tensor.dims) <= _LARGEST_KEPT
