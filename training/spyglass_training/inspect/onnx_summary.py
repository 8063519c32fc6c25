"""The nodes of an ONNX file, with their costs and receptive fields."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import shape_inference

from spyglass_contract.errors import ModelError, NotFound
from spyglass_contract.model.card import PROBABILITIES
from spyglass_training.inspect.arithmetic import EVERYTHING, PIXEL, ReceptiveField, Row, joined

# Nodes that only move or hold values; their neighbours' shapes show the effect.
_PLUMBING = frozenset(
    {"Cast", "Constant", "Identity", "Shape", "Squeeze", "Transpose", "Unsqueeze", "QuantizeLinear"}
)
_WITH_KERNEL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})
_MIXING = frozenset({"Flatten", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"})
# Types of indices and sizes, which are not weights.
_NOT_WEIGHTS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.BOOL})

Shape = tuple[int | None, ...]


def summarise_file(path: Path) -> list[Row]:
    """Return a row for each node on the path to the scores, except nodes that only move values.

    Raises NotFound if the file does not exist, and ModelError if it is not an ONNX model.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    try:
        model = shape_inference.infer_shapes(onnx.load(path), strict_mode=False, data_prop=True)
    except (DecodeError, shape_inference.InferenceError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    return _Walk(model.graph).rows()


class _Walk:
    """A pass from the image to the scores that keeps the receptive field of every tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {each.name: each for each in graph.initializer}
        known = [*graph.input, *graph.value_info, *graph.output]
        self._shapes = {each.name: _shape(each) for each in known}
        self._shapes.update((name, tuple(each.dims)) for name, each in self._weights.items())
        self._fields = {each.name: PIXEL for each in graph.input}
        self._counted: set[str] = set()

    def rows(self) -> list[Row]:
        needed = self._ancestors(_scores(self._graph))
        rows = []
        for index, node in enumerate(self._graph.node):
            # A node that does not depend on the image works on shapes or weights.
            if (
                index in needed
                and node.op_type != "Shape"
                and any(name in self._fields for name in node.input)
            ):
                field = self._set_field(node)
                if node.op_type not in _PLUMBING:
                    rows.append(self._row(node, field))
        return rows

    def _ancestors(self, output: str) -> set[int]:
        """Return the indices of the nodes that a tensor needs."""
        producers = {name: index for index, node in enumerate(self._graph.node) for name in node.output}
        found: set[int] = set()
        open_names = [output]
        while open_names:
            index = producers.get(open_names.pop())
            if index is not None and index not in found:
                found.add(index)
                open_names.extend(self._graph.node[index].input)
        return found

    def _set_field(self, node: onnx.NodeProto) -> ReceptiveField:
        entering = joined(self._fields[name] for name in node.input if name in self._fields)
        field = _field_after(node, entering, self._kernel(node))
        if len(self._shapes.get(node.output[0], ())) < 4:
            field = EVERYTHING
        if node.op_type == "Reshape" and not self._only_transposes(node):
            field = EVERYTHING
        self._fields.update(dict.fromkeys(node.output, field))
        return field

    def _only_transposes(self, node: onnx.NodeProto) -> bool:
        """Return whether a Reshape equals a Transpose: it moves the channel of a grey image to the front."""
        before, after = (self._shapes.get(name, ())[1:] for name in (node.input[0], node.output[0]))
        return 1 in before and sorted(map(str, before)) == sorted(map(str, after))

    def _row(self, node: onnx.NodeProto, field: ReceptiveField) -> Row:
        return Row(
            name=node.name or node.output[0],
            kind=node.op_type,
            shape=self._shapes.get(node.output[0], ())[1:],
            parameters=self._parameters(node),
            multiply_adds=self._multiply_adds(node),
            receptive_field=field,
        )

    def _parameters(self, node: onnx.NodeProto) -> int:
        """Count the values of the node's weights where they are first used; single values are not counted."""
        names = [name for name in node.input if name in self._weights and name not in self._counted]
        self._counted.update(names)
        weights = [self._weights[name] for name in names]
        sizes = [prod(each.dims) for each in weights if each.data_type not in _NOT_WEIGHTS]
        return sum(size for size in sizes if size > 1)

    def _kernel(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Return height and width; a convolution without them has them in the shape of its weights."""
        stated = _attribute(node, "kernel_shape", ())
        if stated or node.op_type not in ("Conv", "ConvTranspose"):
            return tuple(stated)
        return tuple(size or 1 for size in self._shapes.get(node.input[1], ())[2:])

    def _multiply_adds(self, node: onnx.NodeProto) -> int | None:
        """Return the multiply-adds for one image."""
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            return 0
        weights = _fixed(self._shapes.get(node.input[1], ()))
        # The first axis is the batch.
        into, out = (_fixed(self._shapes.get(name, ())[1:]) for name in (node.input[0], node.output[0]))
        if not weights or not into or not out:
            return None
        if node.op_type == "Conv":
            return prod(out) * prod(weights[1:])
        if node.op_type == "ConvTranspose":
            return prod(into) * prod(weights[1:])
        return prod(out) * into[-1]


def _fixed(shape: Shape) -> tuple[int, ...]:
    """Return the shape, or an empty one if a size is open."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else ()


def _scores(graph: onnx.GraphProto) -> str:
    names = [output.name for output in graph.output]
    return PROBABILITIES if PROBABILITIES in names else names[0]


def _shape(info: onnx.ValueInfoProto) -> Shape:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim
    )


def _field_after(node: onnx.NodeProto, entering: ReceptiveField, kernel: tuple[int, ...]) -> ReceptiveField:
    if node.op_type in _WITH_KERNEL and len(kernel) == 2:
        stride = _two(_attribute(node, "strides", (1, 1)))
        if node.op_type == "ConvTranspose":
            return entering.spread(_two(kernel), stride)
        return entering.slide(_two(kernel), stride, _two(_attribute(node, "dilations", (1, 1))))
    return EVERYTHING if node.op_type in _MIXING else entering


def _two(values: Iterable[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default
