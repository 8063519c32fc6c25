"""A model's graph as it is walked: who makes a tensor, who reads it, what is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import onnx

from spyglass_export.gradcam.constants import Constants
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.node import Node, read_nodes
from spyglass_export.gradcam.probe import probe_types
from spyglass_export.gradcam.tensor_types import (
    FLOATING,
    QUANTISED,
    Dims,
    infer_types,
    unsettled,
)


class GraphView:
    """Reads a model; never changes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = _opset(model)
        self.nodes = read_nodes(model.graph.node)
        self.outputs = [value.name for value in model.graph.output]
        self.producers = {output: node for node in self.nodes for output in node.outputs if output}
        self.consumers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                self.consumers[name].append(node)
        self._types = infer_types(model)
        self._constants = Constants(model, self._dims_or_none)
        self._fed = self._depending_on_input()

    def settle(self, nodes: Iterable[Node]) -> None:
        """Makes sure that the dims of what these nodes compute are known, by running the model where need be.

        Raises HeatmapError where that fails.
        """
        computed = [name for node in nodes for name in node.outputs if name]
        inputs = [value.name for value in self.model.graph.input]
        if missing := unsettled(self._types, inputs, computed):
            self._types.update(probe_types(self.model, missing))

    def dims(self, name: str) -> Dims:
        """The dimensions of a tensor. Raises HeatmapError where its rank is not known."""
        dims = self._dims_or_none(name)
        if dims is None:
            raise HeatmapError(f"the rank of tensor '{name}' is not known")
        return dims

    def rank(self, name: str) -> int | None:
        """The number of dimensions, None where it is not known."""
        dims = self._dims_or_none(name)
        return None if dims is None else len(dims)

    def element(self, name: str) -> int:
        """The element type, as in TensorProto.DataType; 0 where it is not known."""
        found = self._types.get(name)
        return 0 if found is None else found.element

    def is_real(self, name: str) -> bool:
        """Whether a gradient can flow through the tensor: a float, or a float as quantised."""
        element = self.element(name)
        if element in QUANTISED:
            return name in self.producers and self.producers[name].op_type == "QuantizeLinear"
        return element in FLOATING

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The value of a tensor that depends on no input, None where it does or is a large weight."""
        return self._constants.value(name)

    def is_fed(self, name: str) -> bool:
        """Whether a tensor changes with what the model is fed; a weight does not."""
        return name in self._fed

    def ancestors(self, tensor: str) -> list[Node]:
        """Every node that `tensor` is computed from, the latest first."""
        found: dict[int, Node] = {}
        waiting = [tensor]
        while waiting:
            node = self.producers.get(waiting.pop())
            if node is not None and node.index not in found:
                found[node.index] = node
                waiting.extend(node.inputs)
        return [found[index] for index in sorted(found, reverse=True)]

    def _depending_on_input(self) -> set[str]:
        weights = {tensor.name for tensor in self.model.graph.initializer}
        found = {value.name for value in self.model.graph.input} - weights
        for node in self.nodes:
            if found.intersection(node.inputs):
                found.update(node.outputs)
        return found

    def _dims_or_none(self, name: str) -> Dims | None:
        found = self._types.get(name)
        return None if found is None else found.dims


def _opset(model: onnx.ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    opset = versions[0] if versions else 1
    if opset < 11:
        raise HeatmapError(
            f"the model is of opset {opset}, older than 11; "
            "onnx.version_converter.convert_version(model, 17) makes it newer"
        )
    return opset
