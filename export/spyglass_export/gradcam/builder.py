"""A builder of new nodes and constants for a graph, with unused names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

PREFIX = "heatmap/"


class GraphBuilder:
    """Collects new nodes in the model's opset, `opset`.

    Methods take and return names of tensors. `nodes` are in topological order; `initializers` hold each
    distinct constant once. All new names begin with `prefix`. `known` holds tensors of the model in the form
    that the new nodes read, by name. `slices` holds slices of tensors, by name, axis, start and stop.
    `description` is a text about the nodes.
    """

    def __init__(self, opset: int, taken: Iterable[str], prefix: str = PREFIX) -> None:
        self.opset = opset
        self.prefix = prefix
        self.description = ""
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.taken = set(taken)
        self.known: dict[str, str] = {}
        self.slices: dict[tuple[str, int, int, int], str] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node of one output and return the output's name."""
        return self.add_many(op_type, inputs, 1, **attributes)[0]

    def add_many(self, op_type: str, inputs: Sequence[str], outputs: int, **attributes: Any) -> list[str]:
        """Append a node of several outputs and return their names."""
        name = self.fresh(op_type)
        names = [name] if outputs == 1 else [f"{name}:{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=name, **attributes))
        return names

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Return the name of a constant tensor of these values."""
        array = np.asarray(values, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = self.fresh("constant")
            self.initializers.append(numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def floats(self, values: npt.ArrayLike) -> str:
        """Return a float32 constant; a plain number becomes a scalar, which broadcasts to any shape."""
        return self.constant(values, np.float32)

    def integers(self, values: npt.ArrayLike) -> str:
        """Return an int64 constant, the type of shapes, axes and indices."""
        return self.constant(values, np.int64)

    def fresh(self, stem: str) -> str:
        """Return a name that no tensor and no node of the model has."""
        number = 0
        while (name := f"{self.prefix}{stem}_{number}" if number else f"{self.prefix}{stem}") in self.taken:
            number += 1
        self.taken.add(name)
        return name
