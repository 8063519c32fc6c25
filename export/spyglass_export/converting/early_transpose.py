"""A Transpose of the images, moved before the arithmetic on their pixels.

Converters of networks with channels last put a Transpose before the first convolution, behind the rescaling:
it moves float32. Before the rescaling it moves bytes, which takes an eighth of the time. The arithmetic works
on each number by itself, so all results stay the same, bit by bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.node import Node, read_nodes

_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_ARITHMETIC = frozenset({"Add", "Div", "Mul", "Sub"})
# Not to float16: ONNX Runtime leaves out a Cast to float16 that meets its own Cast back to float32.
_EXACT = frozenset({TensorProto.DOUBLE, TensorProto.FLOAT})


def transpose_early(model: onnx.ModelProto) -> None:
    """Move a Transpose of images, uint8 [batch, height, width, channels], before the arithmetic on them.

    Changes the graph in place. A graph of another form stays as it is.
    """
    graph = model.graph
    constants = _constants(graph)
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.UINT8:
            chain = _arithmetic_behind(graph, value.name, constants)
            if len(chain) > 1:
                _move(graph, chain, constants)
                return


def _arithmetic_behind(
    graph: onnx.GraphProto, image: str, constants: Mapping[str, NDArray[Any]]
) -> list[Node]:
    """The arithmetic on an image and the Transpose behind it; empty if something else reads a result."""
    reads, readers = Counter(_all_reads(graph)), {}
    for reader in read_nodes(graph.node):
        readers.update(dict.fromkeys(reader.inputs, reader))
    chain: list[Node] = []
    name = image
    while reads[name] == 1 and (node := readers.get(name)) is not None:
        if chain and node.op_type == "Transpose":
            return [*chain, node] if tuple(node.attribute("perm", ())) == _TO_CHANNELS_FIRST else []
        if _is_elementwise(node, name, constants):
            chain.append(node)
        elif chain or node.op_type not in ("Gather", "Transpose"):
            return []
        name = node.outputs[0]
    return []


def _all_reads(graph: onnx.GraphProto) -> Iterator[str]:
    """Every reading of a tensor: by nodes, by graphs inside them, and as an output."""
    yield from (value.name for value in graph.output)
    for node in graph.node:
        yield from node.input
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _all_reads(inner)


def _is_elementwise(node: Node, name: str, constants: Mapping[str, NDArray[Any]]) -> bool:
    if node.op_type == "Cast":
        return node.attribute("to") in _EXACT
    if node.op_type not in _ARITHMETIC:
        return False
    others = [constants.get(other) for other in node.inputs if other != name]
    return len(others) == 1 and others[0] is not None and _per_pixel(others[0])


def _per_pixel(constant: NDArray[Any]) -> bool:
    """Return whether a constant broadcasts to the images without a number of its own for each of them."""
    return constant.ndim < len(_TO_CHANNELS_FIRST) or (constant.ndim == 4 and len(constant) == 1)


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """The constant real tensors of a graph by their names."""
    fed = {value.name for value in graph.input}
    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in fed}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                tensors[node.output[0]] = attribute.t
    return {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_type in _EXACT and tensor.data_location != TensorProto.EXTERNAL
    }


def _move(graph: onnx.GraphProto, chain: Sequence[Node], constants: Mapping[str, NDArray[Any]]) -> None:
    *arithmetic, transpose = chain
    build = GraphBuilder(0, _names(graph), "early/")
    (image,) = (name for name in arithmetic[0].inputs if name not in constants)
    renamed = {image: build.add("Transpose", image, perm=_TO_CHANNELS_FIRST)}
    for name in {name for node in arithmetic for name in node.inputs if name in constants}:
        moved = _moved(constants[name])
        renamed[name] = name if moved.ndim == 0 else build.constant(moved, moved.dtype)
    for node in arithmetic:
        proto = graph.node[node.index]
        proto.input[:] = [renamed.get(name, name) for name in node.inputs]
    graph.node[arithmetic[-1].index].output[0] = transpose.outputs[0]
    del graph.node[transpose.index]
    graph.node.insert(arithmetic[0].index, build.nodes[0])
    _keep(graph.initializer, set(_all_reads(graph)))
    graph.initializer.extend(build.initializers)
    changed = {name for node in arithmetic for name in node.outputs}
    _keep(graph.value_info, {value.name for value in graph.value_info} - changed)


def _moved(constant: NDArray[Any]) -> NDArray[Any]:
    """A constant that broadcasts to [batch, height, width, channels], for [batch, channels, height, width].

    An axis along which all numbers are the same becomes one of size 1.
    """
    moved = constant.reshape((1,) * (4 - constant.ndim) + constant.shape).transpose(_TO_CHANNELS_FIRST)
    for axis in range(4):
        start = moved.take([0], axis)
        if (moved == start).all():
            moved = start
    return moved.reshape(()) if moved.size == 1 else np.ascontiguousarray(moved)


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {value.name for values in (graph.input, graph.output, graph.initializer) for value in values}
    for node in graph.node:
        named.update((node.name, *node.output))
    return named


def _keep(values: Any, names: set[str]) -> None:
    """Remove the values with other names, in place."""
    kept = [value for value in values if value.name in names]
    del values[:]
    values.extend(kept)
