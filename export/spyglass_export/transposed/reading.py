"""A ConvTranspose node with its weights and sizes, if all of them are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.transposed.axis import Axis
from spyglass_export.transposed.padding import read_axes

Weights = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Transposed:
    """A transposed convolution of feature maps without groups and dilations, with equal strides.

    `weight` is float32 [channels in, channels out, kernel height, kernel width], `bias` float32
    [channels out]; `axes` are height and width.
    """

    input: str
    output: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    axes: tuple[Axis, Axis]

    @property
    def stride(self) -> int:
        return self.axes[0].stride


def constant_weights(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """Return by name the initialisers that no caller can override, and the values of Constant nodes."""
    fed = {value.name for value in graph.input}
    tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in fed}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}


def read_transposed(view: GraphView, weights: Weights, node: Node) -> Transposed | None:
    """Return the node as a transposed convolution; None if it is another node or has an unsupported form."""
    if node.op_type != "ConvTranspose":
        return None
    weight, sizes = weights.get(node.inputs[1]), _sizes(view, node.inputs[0])
    if weight is None or sizes is None or weight.dtype != np.float32:
        return None
    bias = bias_of(weights, node, weight.shape[1])
    if bias is None or node.attribute("group", 1) != 1 or set(node.attribute("dilations", [1])) != {1}:
        return None
    axes = read_axes(node, weight.shape[2:], sizes)
    if axes[0].stride != axes[1].stride:
        return None
    return Transposed(node.inputs[0], node.outputs[0], weight, bias, axes)


def bias_of(weights: Weights, node: Node, channels: int) -> NDArray[np.float32] | None:
    """Return the bias of a convolution, float32 [channels]; None if it is not constant."""
    return weights.get(node.input(2)) if node.input(2) else np.zeros(channels, np.float32)


def _sizes(view: GraphView, name: str) -> tuple[int, int] | None:
    """Height and width of a feature map; None if they are unknown, or if the rank is not 4."""
    if view.rank(name) != 4:
        return None
    height, width = view.dims(name)[2:]
    return None if height is None or width is None else (height, width)
