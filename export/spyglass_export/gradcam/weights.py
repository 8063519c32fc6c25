"""Numbers of the network for the heatmap's branch: in place, unpacked, or computed again.

ONNX Runtime computes the operators between DequantizeLinear and QuantizeLinear in integers, if nothing else
reads the real numbers between them. So the branch reads the numbers behind a DequantizeLinear, and computes
those in between again. It reads the integers of a quantised weight and unpacks only the rows it needs. All
that happens only if a heatmap is requested.
"""

from __future__ import annotations

from onnx import TensorProto

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.tensor_types import FLOATING
from spyglass_export.gradcam.unpacking import picked_unpacked, to_float32, unpacked

# The operators that ONNX Runtime fuses with the quantiser behind the next operator.
_BEFORE_QUANTISER = frozenset({"Clip", "LeakyRelu", "Relu", "Sigmoid"})


def as_float32(view: GraphView, build: GraphBuilder, name: str) -> str:
    """Return a tensor of the model as float32."""
    if name not in build.known:
        node = view.producers.get(name)
        if node is not None and node.op_type == "DequantizeLinear" and not view.is_fed(name):
            build.known[name] = unpacked(view, build, node)
        elif node is not None and _is_between_integers(view, node):
            build.known[name] = _again(view, build, node)
        elif view.element(name) == TensorProto.FLOAT:
            build.known[name] = name
        else:
            build.known[name] = to_float32(build, name)
    return build.known[name]


def picked_as_float32(view: GraphView, build: GraphBuilder, name: str, index: str, axis: int) -> str:
    """Return the rows (axis 0) or columns (axis 1) of a weight at `index`, int64 [number], as float32."""
    node = view.producers.get(name)
    if node is not None and node.op_type == "DequantizeLinear":
        return picked_unpacked(view, build, node, index, axis)
    picked = build.add("Gather", name, index, axis=axis)
    return picked if view.element(name) == TensorProto.FLOAT else to_float32(build, picked)


def _is_between_integers(view: GraphView, node: Node) -> bool:
    """Return whether a node lies between integers, so that ONNX Runtime may compute it in integers."""
    if len(node.outputs) != 1 or view.element(node.outputs[0]) != TensorProto.FLOAT:
        return False
    return _becomes_integers(view, node) and _comes_from_integers(view, node)


def _becomes_integers(view: GraphView, node: Node) -> bool:
    readers = view.consumers.get(node.outputs[0], ())
    if any(reader.op_type == "QuantizeLinear" for reader in readers):
        return True
    activations = [reader for reader in readers if reader.op_type in _BEFORE_QUANTISER]
    return any(
        reader.op_type == "QuantizeLinear"
        for activation in activations
        for reader in view.consumers.get(activation.outputs[0], ())
    )


def _comes_from_integers(view: GraphView, node: Node) -> bool:
    fed = [view.producers.get(name) for name in node.inputs if view.is_fed(name)]
    return bool(fed) and all(
        source is not None
        and (
            source.op_type == "DequantizeLinear"
            or (node.op_type in _BEFORE_QUANTISER and _comes_from_integers(view, source))
        )
        for source in fed
    )


def _again(view: GraphView, build: GraphBuilder, node: Node) -> str:
    """Add a copy of a node to the branch."""
    inputs = [
        as_float32(view, build, name) if view.element(name) in FLOATING else name for name in node.inputs
    ]
    return build.add(node.op_type, *inputs, **node.attributes)
