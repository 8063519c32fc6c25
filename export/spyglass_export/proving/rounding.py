"""A graph without the rounding of quantised tensors, for which a score has a derivative.

A heatmap differentiates through a quantiser as if it did not round. A quantiser whose lowest integer stands
for 0 still acts as a ReLU, and one for numbers from 0 to 6 as a ReLU6; any other bound is ignored. The scores
are the numbers before their own quantiser. See the gradient rule of QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.gradcam.integer_limits import LIMITS, relu6_bound
from spyglass_export.gradcam.passing import TRANSPARENT


def without_rounding(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph without QuantizeLinear and DequantizeLinear for tensors that depend on an input.

    Weights keep their rounding, also those that the graph itself quantises.
    """
    nodes = graph.graph.node
    if not any(node.op_type == "QuantizeLinear" for node in nodes):
        return graph
    last, constants, unrounded = _last(graph), _constants(graph), set[str]()
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    del changed.graph.node[:], changed.graph.value_info[:]
    fed = {value.name for value in graph.graph.input}
    for node in nodes:
        if fed.intersection(node.input):
            fed.update(node.output)
        if node.op_type == "QuantizeLinear" and node.input[0] in fed:
            unrounded.update(node.output)
            cuts = {} if node.output[0] in last else _cuts(node, constants)
            changed.graph.node.extend(_bounded(node, cuts))
        elif node.op_type == "DequantizeLinear" and node.input[0] in unrounded:
            changed.graph.node.append(helper.make_node("Identity", node.input[:1], node.output))
        else:
            # A quantised tensor may be moved or reshaped before it is unpacked.
            if unrounded.intersection(node.input[:1]):
                unrounded.update(node.output)
            changed.graph.node.append(node)
    return changed


def _last(graph: onnx.ModelProto) -> set[str]:
    """The outputs of a graph, and the tensors whose numbers they repeat."""
    found = {value.name for value in graph.graph.output}
    for node in reversed(graph.graph.node):
        if node.op_type in TRANSPARENT and found.intersection(node.output):
            found.add(node.input[0])
    return found


def _constants(graph: onnx.ModelProto) -> Mapping[str, onnx.TensorProto]:
    found = {tensor.name: tensor for tensor in graph.graph.initializer}
    for node in graph.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = node.attribute[0].t
    return found


def _cuts(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> dict[str, float]:
    """The bounds at which a quantiser acts as an activation: `least`, perhaps `most`, or none."""
    scale, zero = constants.get(node.input[1]), constants.get(node.input[2]) if len(node.input) > 2 else None
    kind = TensorProto.UINT8 if zero is None else zero.data_type
    if kind not in LIMITS:
        return {}
    lowest = 0 if zero is None else numpy_helper.to_array(zero).astype(np.int64)
    if not np.all(lowest == LIMITS[kind][0]):
        return {}
    step = np.unique(numpy_helper.to_array(scale)) if scale is not None else np.zeros(0)
    most = relu6_bound(kind, float(step[0])) if len(step) == 1 else None
    return {"least": 0.0} if most is None else {"least": 0.0, "most": most}


def _bounded(node: onnx.NodeProto, cuts: Mapping[str, float]) -> Iterator[onnx.NodeProto]:
    if "most" in cuts:
        names = [f"{node.output[0]} {bound}" for bound in cuts]
        for name, value in zip(names, cuts.values(), strict=True):
            number = numpy_helper.from_array(np.array(value, np.float32))
            yield helper.make_node("Constant", [], [name], value=number)
        yield helper.make_node("Clip", [node.input[0], *names], node.output)
    else:
        yield helper.make_node("Relu" if cuts else "Identity", node.input[:1], node.output)
