"""The nodes of an ONNX file, with what each costs and sees."""

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

# They move values about, or hold them; what they do is in the shapes of their neighbours.
_PLUMBING = frozenset(
    {"Cast", "Constant", "Identity", "Shape", "Squeeze", "Transpose", "Unsqueeze", "QuantizeLinear"}
)
_WITH_KERNEL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"})
_MIXING = frozenset({"Flatten", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"})
# Indices and sizes, not weights.
_NOT_WEIGHTS = frozenset({onnx.TensorProto.INT64, onnx.TensorProto.BOOL})

Shape = tuple[int | None, ...]


def summarise_file(path: Path) -> list[Row]:
    """A row for each node on the way to the scores, but for those that only move values about.

    Raises NotFound where there is no such file, and ModelError where it is no ONNX model.
    """
    if not path.is_file():
        raise NotFound(f"there is no network {path}")
    try:
        model = shape_inference.infer_shapes(onnx.load(path), strict_mode=False, data_prop=True)
    except (DecodeError, shape_inference.InferenceError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX model: {error}") from error
    return _Walk(model.graph).rows()


class _Walk:
    """From the image to the scores, keeping of every tensor what it sees."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {each.name: each for each in graph.initializer}
        known = [*graph.input, *graph.value_info, *graph.output]
        self._shapes = {each.name: _shape(each) for each in known}
        self._shapes.update((name, tuple(each.dims)) for name, each in self._weights.items())
        self._fields = {each.name: PIXEL for each in graph.input}
        self._counted: set[str] = set()

    def rows(self) -> list[Row]:
        wanted = self._ancestors(_scores(self._graph))
        rows = []
        for index, node in enumerate(self._graph.node):
            # A node that sees no image works on shapes or on weights.
            if (
                index in wanted
                and node.op_type != "Shape"
                and any(name in self._fields for name in node.input)
            ):
                field = self._see(node)
                if node.op_type not in _PLUMBING:
                    rows.append(self._row(node, field))
        return rows

    def _ancestors(self, output: str) -> set[int]:
        """The nodes that a tensor needs, by their place in the graph."""
        producers = {name: index for index, node in enumerate(self._graph.node) for name in node.output}
        found: set[int] = set()
        open_names = [output]
        while open_names:
            index = producers.get(open_names.pop())
            if index is not None and index not in found:
                found.add(index)
                open_names.extend(self._graph.node[index].input)
        return found

    def _see(self, node: onnx.NodeProto) -> ReceptiveField:
        seen = joined(self._fields[name] for name in node.input if name in self._fields)
        field = _behind(node, seen, self._kernel(node))
        if len(self._shapes.get(node.output[0], ())) < 4:
            field = EVERYTHING
        if node.op_type == "Reshape" and not self._only_turns(node):
            field = EVERYTHING
        self._fields.update(dict.fromkeys(node.output, field))
        return field

    def _only_turns(self, node: onnx.NodeProto) -> bool:
        """Whether a Reshape does what a Transpose would: the one channel of a grey image comes first."""
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
        """The values of the node's own weights, each counted where it is first used; a single one is none."""
        names = [name for name in node.input if name in self._weights and name not in self._counted]
        self._counted.update(names)
        weights = [self._weights[name] for name in names]
        sizes = [prod(each.dims) for each in weights if each.data_type not in _NOT_WEIGHTS]
        return sum(size for size in sizes if size > 1)

    def _kernel(self, node: onnx.NodeProto) -> tuple[int, ...]:
        """Height and width, which a convolution may leave to the shape of its weights."""
        stated = _attribute(node, "kernel_shape", ())
        if stated or node.op_type not in ("Conv", "ConvTranspose"):
            return tuple(stated)
        return tuple(size or 1 for size in self._shapes.get(node.input[1], ())[2:])

    def _multiply_adds(self, node: onnx.NodeProto) -> int | None:
        """Of one image."""
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
    """The shape, or nothing where a part of it is open."""
    sizes = tuple(size for size in shape if size is not None)
    return sizes if len(sizes) == len(shape) else ()


def _scores(graph: onnx.GraphProto) -> str:
    names = [output.name for output in graph.output]
    return PROBABILITIES if PROBABILITIES in names else names[0]


def _shape(info: onnx.ValueInfoProto) -> Shape:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else None for dim in info.type.tensor_type.shape.dim
    )


def _behind(node: onnx.NodeProto, seen: ReceptiveField, kernel: tuple[int, ...]) -> ReceptiveField:
    if node.op_type in _WITH_KERNEL and len(kernel) == 2:
        stride = _two(_attribute(node, "strides", (1, 1)))
        if node.op_type == "ConvTranspose":
            return seen.spread(_two(kernel), stride)
        return seen.slide(_two(kernel), stride, _two(_attribute(node, "dilations", (1, 1))))
    return EVERYTHING if node.op_type in _MIXING else seen


def _two(values: Iterable[int]) -> tuple[int, int]:
    first, second = values
    return first, second


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default
