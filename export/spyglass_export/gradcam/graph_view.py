"""Read access to a model's graph: producers, consumers, types and constant values of its tensors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import replace
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
    only_batch_is_free,
    unsettled,
)


class GraphView:
    """Read-only view of a model's graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.opset = _opset(model)
        self.nodes = read_nodes(model.graph.node)
        self.outputs = [value.name for value in model.graph.output]
        self.producers = {output: node for node in self.nodes for output in node.outputs if output}
        self.consumers: dict[str, list[Node]] = defaultdict(list)
        for node in self.nodes:
            for name in dict.fromkeys(node.reads):
                self.consumers[name].append(node)
        self._types = infer_types(model)
        self._constants = Constants(model, self._dims_or_none)
        self._fed = self._depending_on_input()

    def settle(self, nodes: Iterable[Node]) -> None:
        """Find the dims of the outputs of `nodes`, by running the model if shape inference is not enough.

        Raises HeatmapError if the model does not run.
        """
        computed = [name for node in nodes for name in node.outputs if name]
        inputs = [value.name for value in self.model.graph.input]
        if missing := unsettled(self._types, inputs, computed):
            self._types.update(probe_types(self.model, missing))

    def dims(self, name: str) -> Dims:
        """Return the dimensions of a tensor. Raises HeatmapError if its rank is unknown."""
        dims = self._dims_or_none(name)
        if dims is None:
            raise HeatmapError(f"the rank of the tensor '{name}' is unknown")
        return dims

    def rank(self, name: str) -> int | None:
        """Return the number of dimensions, None if it is unknown."""
        dims = self._dims_or_none(name)
        return None if dims is None else len(dims)

    def image_axes(self, names: Collection[str]) -> dict[str, int | None]:
        """Return for each tensor the axis that holds the images of the batch, None if no axis does.

        An axis of as many windows or heads as all images have together does not. Runs the model if shape
        inference is not enough. Raises HeatmapError if the model does not run.
        """
        unclear = [name for name in names if None in self.dims(name) and self._types[name].images is None]
        if unclear:
            probed = probe_types(self.model, unclear)
            self._types.update(
                {name: replace(self._types[name], images=probed[name].images) for name in unclear}
            )
        return {name: self._types[name].images for name in names}

    def mixes_images(self, name: str) -> bool:
        """Return whether a tensor has a number for each pair of images of the batch.

        It has two axes of unknown size then, although only the size of the batch is free.
        """
        inputs = [value.name for value in self.model.graph.input]
        return self.dims(name).count(None) > 1 and only_batch_is_free(self._types, inputs)

    def element(self, name: str) -> int:
        """Return the element type, as in TensorProto.DataType; 0 if it is unknown."""
        found = self._types.get(name)
        return 0 if found is None else found.element

    def is_real(self, name: str) -> bool:
        """Return whether a gradient can flow through the tensor: floats, or quantised floats."""
        element = self.element(name)
        if element in QUANTISED:
            return name in self.producers and self.producers[name].op_type == "QuantizeLinear"
        return element in FLOATING

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """Return the value of a constant tensor, None if it depends on an input or is a large weight."""
        return self._constants.value(name)

    def is_fed(self, name: str) -> bool:
        """Return whether a tensor depends on the model's inputs; a weight does not."""
        return name in self._fed

    def ancestors(self, tensor: str) -> list[Node]:
        """Return every node that `tensor` is computed from, the last one first."""
        found: dict[int, Node] = {}
        waiting = [tensor]
        while waiting:
            node = self.producers.get(waiting.pop())
            if node is not None and node.index not in found:
                found[node.index] = node
                waiting.extend(node.reads)
        return [found[index] for index in sorted(found, reverse=True)]

    def _depending_on_input(self) -> set[str]:
        weights = {tensor.name for tensor in self.model.graph.initializer}
        found = {value.name for value in self.model.graph.input} - weights
        for node in self.nodes:
            if found.intersection(node.reads):
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
            f"the model's opset must be 11 or newer, not {opset}; convert it with "
            "onnx.version_converter.convert_version(model, 17)"
        )
    return opset
