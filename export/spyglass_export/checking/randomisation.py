"""The model-randomisation check (Adebayo et al., Sanity Checks for Saliency Maps, 2018).

It randomises the weights of layer after layer, beginning at the output. If a heatmap stays the same, it
shows edges of the image and nothing that the model learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from spyglass_contract.errors import ModelError

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Operators between a weight and the operator that uses it.
_BETWEEN = frozenset({"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Reshape", "Transpose"})


@dataclass(frozen=True)
class Layer:
    """An operator with weights: the names of its output and of its initialisers."""

    name: str
    weights: tuple[str, ...]


@dataclass(frozen=True)
class Randomised:
    """The file with the weights of the last `layers` layers shuffled, down to the layer `lowest`."""

    layers: int
    lowest: str
    file: bytes


def weighted_layers(graph: onnx.GraphProto) -> list[Layer]:
    """Return convolutions and products with weights, the layer nearest to the output first.

    The nodes of an ONNX graph are in the order of computation.
    """
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    layers = []
    for node in reversed(graph.node):
        if node.op_type in _WEIGHTED:
            found = (_weight(name, producers) for name in node.input)
            weights = tuple(name for name in found if name in tensors and np.prod(tensors[name].dims) > 1)
            if weights:
                layers.append(Layer(node.output[0], weights))
    return layers


def randomised(model: onnx.ModelProto, seed: int) -> Iterator[Randomised]:
    """Yield copies of `model` with more and more layers randomised: the last 1, 2, 4, 8, … and all.

    The numbers within each weight are shuffled, so their distribution stays the same. Normalisation stays
    too, because it keeps the activations in range. Raises ModelError if the model has no weights.
    """
    layers = weighted_layers(model.graph)
    if not layers:
        raise ModelError("the network has no convolution or product with weights to randomise")
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in changed.graph.initializer}
    done = 0
    for until in stages(len(layers)):
        for number in range(done, until):
            _shuffle([tensors[name] for name in layers[number].weights], [seed, number])
        done = until
        yield Randomised(until, layers[until - 1].name, changed.SerializeToString())


def stages(layers: int) -> list[int]:
    """Return the numbers of layers to randomise: 1, 2, 4, … and all of them."""
    doubled = [2**power for power in range(layers.bit_length()) if 2**power < layers]
    return [*doubled, layers]


def _weight(name: str, producers: dict[str, onnx.NodeProto]) -> str:
    """The tensor that an input comes from, past casts and changes of shape."""
    while name in producers and producers[name].op_type in _BETWEEN:
        name = producers[name].input[0]
    return name


def _shuffle(tensors: Sequence[onnx.TensorProto], seed: list[int]) -> None:
    random = np.random.default_rng(seed)
    for tensor in tensors:
        values = numpy_helper.to_array(tensor)
        shuffled = random.permutation(values.ravel()).reshape(values.shape)
        tensor.CopyFrom(numpy_helper.from_array(shuffled, tensor.name))
