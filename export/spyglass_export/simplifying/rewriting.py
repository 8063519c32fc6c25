"""A graph that is being rewritten: its new nodes, and what is known about its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from spyglass_export.simplifying.assumptions import Assumptions
from spyglass_export.simplifying.node_order import all_graphs


class Rewriting:
    """The new nodes of a model's graph, its new constants, and `known`, what is known about its tensors.

    `sequences` maps each sequence of tensors to the names of those tensors.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.known = Assumptions(model)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.producers: dict[str, onnx.NodeProto] = {}
        self.sequences: dict[str, list[str]] = {}
        self.opset = next(
            (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1
        )
        weights = {tensor.name for tensor in graph.initializer}
        self._fed = {value.name for value in graph.input} - weights
        self._sized: set[str] = set()
        # How many tensors of the whole model, inner graphs included, have a name.
        self.named = Counter(_defined(graph))
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def emit(self, node: onnx.NodeProto) -> None:
        """Append a node, all of whose inputs are there."""
        self.nodes.append(node)
        self.known.record(node)
        for name in node.output:
            self.producers[name] = node
        if self._fed.union(self._sized).isdisjoint(node.input):
            return
        takes_size = node.op_type in ("Shape", "Size") or self._fed.isdisjoint(node.input)
        (self._sized if takes_size else self._fed).update(name for name in node.output if name)

    def add(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node of one output and return the output's name."""
        self.emit(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def add_inner(self, op_type: str, inputs: Sequence[str], stem: str, **attributes: Any) -> str:
        """Append a node of one new output, whose name begins with `stem`, and return that name."""
        return self.add(op_type, inputs, self.fresh(stem), **attributes)

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Return the name of a constant tensor of these values."""
        array = np.ascontiguousarray(np.asarray(values, dtype=dtype)).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.add_weight(numpy_helper.from_array(array, self.fresh("constant")))
        return self._constants[key]

    def add_weight(self, tensor: onnx.TensorProto) -> str:
        """Add an initialiser and return its name."""
        self.initializers.append(tensor)
        self.known.set_weight(tensor)
        return tensor.name

    def fresh(self, stem: str) -> str:
        """Return a name that begins with `stem` and that no tensor of the model has."""
        number = 0
        while (name := f"{stem}/{number}" if number else stem) in self.named:
            number += 1
        self.named[name] += 1
        return name

    def reads_images(self, name: str) -> bool:
        """Return whether a tensor depends on the images themselves, not only on their sizes."""
        return name in self._fed

    def reads_sizes(self, name: str) -> bool:
        """Return whether a tensor depends on the sizes of the images, but not on the images themselves."""
        return name in self._sized

    def in_opset(self, version: int) -> bool:
        """Return whether the model's opset is at least `version`."""
        return self.opset >= version


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    for each in all_graphs(graph):
        yield from (value.name for value in each.input)
        yield from (tensor.name for tensor in each.initializer)
        for node in each.node:
            yield from (name for name in node.output if name)
