"""One node of the trace, with what is known about its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.places.located import Shape
from spyglass_export.gradcam.places.traced import Traced


class Untraceable(Exception):
    """The trace cannot follow a node: its result has no known shape, or needs a value that is unknown."""


@dataclass(frozen=True)
class Call:
    """A node of the trace. An input is None if the node does not have it.

    `depends` says of each input whether it depends on the image; a weight does not. `infer_shapes` returns
    the shapes of the outputs, by ONNX's shape inference.
    """

    node: Node
    inputs: Sequence[Traced | None]
    depends: Sequence[bool]
    opset: int
    infer_shapes: Callable[[], Sequence[Shape]]

    def input(self, index: int) -> Traced:
        """Return an input that the operator requires."""
        found = self.optional(index)
        if found is None:
            raise Untraceable(f"{self.node.label} has no input {index}")
        return found

    def optional(self, index: int) -> Traced | None:
        """Return an input, None if the node does not have it."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int) -> npt.NDArray[Any]:
        """Return the value of an input that the operator requires. Raises Untraceable if it is unknown."""
        value = self.input(index).value
        if value is None:
            raise Untraceable(f"{self.node.label}: the value of its input {index} depends on the image")
        return value

    def integers(self, name: str, index: int) -> list[int] | None:
        """Return numbers that are an attribute in older opsets and an input in newer ones."""
        listed = self.node.attribute(name)
        if listed is None and self.optional(index) is not None:
            listed = self.value(index)
        return None if listed is None else [int(number) for number in listed]

    @property
    def shape(self) -> Shape:
        """The shape of the first output, by ONNX's shape inference."""
        return self.infer_shapes()[0]
