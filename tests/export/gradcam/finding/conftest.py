"""Small vision transformers, and the gradient of any of their tensors by finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

Array = npt.NDArray[Any]

# The copying convolution of a sketch stands for the one that makes tokens of patches: 12 places, 8 channels.
DIMS = (8, 3, 4)
PLACES, CHANNELS, HEADS = 12, 8, 2
# Large, because the differences are those of float32 scores; so their order is the fourth.
_STEP = 2e-2


@dataclass
class Transformer:
    """A vision transformer; `head` is the sketch that holds its nodes.

    `streams` and `norms` are the tensors at the entrance of each block and behind its first normalisation.
    """

    head: Any
    tokens: int = 0
    spelled_out: bool = False

    def __post_init__(self) -> None:
        self.streams: list[str] = []
        self.norms: list[str] = []

    def embed(self, extra: int) -> str:
        """Tokens of the places behind `extra` tokens of no place, plus an embedding of positions."""
        head, self.tokens = self.head, PLACES + extra
        rows = head.node("Reshape", "features", head.integers(0, CHANNELS, PLACES))
        stream = head.node("Transpose", rows, perm=[0, 2, 1])
        if extra:
            batch = head.node("Gather", head.node("Shape", "features"), head.integers(0), axis=0)
            shape = head.node("Concat", batch, head.integers(extra, CHANNELS), axis=0)
            stream = head.node(
                "Concat", head.node("Expand", head.normal(1, extra, CHANNELS), shape), stream, axis=1
            )
        return str(head.node("Add", stream, head.normal(1, self.tokens, CHANNELS)))

    def normalise(self, stream: str) -> str:
        head = self.head
        if not self.spelled_out:
            return str(head.node("LayerNormalization", stream, head.normal(CHANNELS), head.normal(CHANNELS)))
        centred = head.node("Sub", stream, head.with_axes("ReduceMean", stream, [-1], 18))
        variance = head.with_axes("ReduceMean", head.node("Mul", centred, centred), [-1], 18)
        deviation = head.node("Sqrt", head.node("Add", variance, head.weight(1e-5)))
        scaled = head.node("Mul", head.node("Div", centred, deviation), head.normal(CHANNELS))
        return str(head.node("Add", scaled, head.normal(CHANNELS)))

    def product(self, tensor: str, before: int = CHANNELS, after: int = CHANNELS) -> str:
        return str(self.head.node("MatMul", tensor, self.head.normal(before, after)))

    def parted(self, tensor: str, number: int = 0) -> str:
        split = self.head.node(
            "Reshape", tensor, self.head.integers(0, number or self.tokens, HEADS, CHANNELS // HEADS)
        )
        return str(self.head.node("Transpose", split, perm=[0, 2, 1, 3]))

    def attend(self, query: str, key: str, value: str, number: int = 0) -> str:
        head = self.head
        weights = head.node("MatMul", query, head.node("Transpose", key, perm=[0, 1, 3, 2]))
        mixed = head.node("MatMul", head.node("Softmax", weights, axis=-1), value)
        joined = head.node("Transpose", mixed, perm=[0, 2, 1, 3])
        return str(head.node("Reshape", joined, head.integers(0, number or self.tokens, CHANNELS)))

    def block(self, stream: str) -> str:
        """x + attention(norm(x)), then x + mlp(norm(x))."""
        self.streams.append(stream)
        self.norms.append(self.normalise(stream))
        query, key, value = (self.parted(self.product(self.norms[-1])) for _ in range(3))
        stream = self.head.node("Add", stream, self.product(self.attend(query, key, value)))
        hidden = self.head.node("Tanh", self.product(self.normalise(stream), CHANNELS, 12))
        return str(self.head.node("Add", stream, self.product(hidden, 12, CHANNELS)))

    def classify(self, vector: str) -> onnx.ModelProto:
        """End the network with a product of one vector for each image."""
        model: onnx.ModelProto = self.head.model(self.product(vector, CHANNELS, 3))
        return model

    def of_class_token(self, stream: str) -> onnx.ModelProto:
        token = self.head.node("Gather", self.normalise(stream), self.head.weight(0, np.int64), axis=1)
        return self.classify(token)

    def of_mean(self, stream: str) -> onnx.ModelProto:
        return self.classify(self.head.with_axes("ReduceMean", stream, [1], 18, keepdims=0))


@pytest.fixture
def transformer(sketch: Callable[..., Any]) -> Callable[..., Transformer]:
    return lambda **options: Transformer(sketch(DIMS), **options)


def _nudged(model: onnx.ModelProto, tensor: str) -> onnx.ModelProto:
    """The model with a further input `nudge` that is added to a tensor wherever it is read."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.input[:] = ["nudged" if name == tensor else name for name in node.input]
    copy.graph.node.append(helper.make_node("Add", [tensor, "nudge"], ["nudged"]))
    copy.graph.input.append(helper.make_tensor_value_info("nudge", onnx.TensorProto.FLOAT, None))
    producer = next(index for index, node in enumerate(copy.graph.node) if tensor in node.output)
    added = copy.graph.node.pop()
    copy.graph.node.insert(producer + 1, added)
    return copy


@pytest.fixture
def gradient_by_differences(
    session_of: Callable[[onnx.ModelProto], Any],
) -> Callable[[onnx.ModelProto, str, Array, int], tuple[Array, Array]]:
    """A tensor of a model for one image, and the gradient of a class's score with respect to it."""

    def find(model: onnx.ModelProto, tensor: str, image: Array, class_index: int) -> tuple[Array, Array]:
        shown = _nudged(model, tensor)
        shown.graph.output.append(onnx.ValueInfoProto(name=tensor))
        session = session_of(shown)
        value = session.run(None, {"image": image, "nudge": np.zeros(1, np.float32)})[1]
        steps = np.eye(value.size, dtype=np.float32).reshape(-1, *value.shape[1:]) * _STEP
        images = np.repeat(image, value.size, axis=0)

        def difference(factor: int) -> Array:
            above, below = (
                session.run(None, {"image": images, "nudge": sign * factor * steps})[0] for sign in (1, -1)
            )
            found: Array = (above - below)[:, class_index]
            return found

        slope = (8 * difference(1) - difference(2)) / (12 * _STEP)
        return value[0], slope.reshape(value.shape[1:])

    return find
