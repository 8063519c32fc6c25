"""The shapes of a node's outputs, by ONNX's own shape inference of that node alone."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.places.call import Untraceable
from spyglass_export.gradcam.places.located import Shape
from spyglass_export.gradcam.places.traced import Traced

# Larger values are no sizes, axes or scales.
_MOST_GIVEN = 64


class ShapeInference:
    """Infers the shapes of a node's outputs from those of its inputs in a trace of `images`."""

    def __init__(self, view: GraphView) -> None:
        self._view = view
        self.images = 1

    def of(self, node: Node, inputs: Sequence[Traced | None]) -> list[Shape]:
        """Return the shapes of all outputs. Raises Untraceable if one is unknown.

        For operators outside ONNX the shapes are those that the graph states, with the images of the trace
        along an axis of unknown size. If that is wrong, the operators behind do not fit, and are not traced.
        """
        try:
            return self._inferred(node, inputs)
        except Untraceable:
            return [self._stated(node, name) for name in node.outputs if name]

    def _stated(self, node: Node, name: str) -> Shape:
        if self._view.rank(name) is None or self._view.dims(name).count(None) > 1:
            raise Untraceable(f"the shape of {node.label} is unknown")
        return tuple(self.images if size is None else size for size in self._view.dims(name))

    def _inferred(self, node: Node, inputs: Sequence[Traced | None]) -> list[Shape]:
        proto = self._view.model.graph.node[node.index]
        types, data = {}, {}
        for name, operand in zip(node.inputs, inputs, strict=True):
            if operand is None:
                continue
            element = self._view.element(name) or TensorProto.FLOAT
            types[name] = helper.make_tensor_type_proto(element, operand.shape)
            if operand.value is not None and operand.value.size <= _MOST_GIVEN:
                data[name] = numpy_helper.from_array(operand.value, name)
        try:
            schema = onnx.defs.get_schema(proto.op_type, self._view.opset, proto.domain)
            found = infer_node_outputs(
                schema, proto, types, data, opset_imports=list(self._view.model.opset_import)
            )
        except (onnx.defs.SchemaError, InferenceError, ValueError, RuntimeError, KeyError) as error:
            raise Untraceable(f"no shape of {node.label}: {error}") from error
        return [self._shape(node, found.get(name)) for name in node.outputs if name]

    def _shape(self, node: Node, found: onnx.TypeProto | None) -> Shape:
        dims = [] if found is None else list(found.tensor_type.shape.dim)
        if found is None or not found.tensor_type.HasField("shape"):
            raise Untraceable(f"the shape of {node.label} is unknown")
        if not all(dim.HasField("dim_value") for dim in dims):
            raise Untraceable(f"the shape of {node.label} depends on the image")
        return tuple(dim.dim_value for dim in dims)
