"""One node of an ONNX graph, read once into plain Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper


@dataclass(frozen=True, eq=False)
class Node:
    """A node and its place in the graph's order, which is topological."""

    index: int
    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute: int, float, str, list, numpy-free; `default` where it is not set.

        A string that is no UTF-8, such as an engine that a vendor packed into a node, stays bytes.
        """
        return self.attributes.get(name, default)

    def input(self, index: int) -> str:
        """The name of an input, empty where the node does not have it."""
        return self.inputs[index] if index < len(self.inputs) else ""

    @property
    def label(self) -> str:
        """How messages name the node: by its own name, or by its output where it has none."""
        return f"{self.op_type} node '{self.name or self.outputs[0]}'"


def read_nodes(nodes: Iterable[onnx.NodeProto]) -> list[Node]:
    """The nodes of a graph in their order. Operators of another domain are called `domain.Operator`."""
    return [_read(index, proto) for index, proto in enumerate(nodes)]


def _read(index: int, proto: onnx.NodeProto) -> Node:
    standard = proto.domain in ("", "ai.onnx")
    return Node(
        index=index,
        op_type=proto.op_type if standard else f"{proto.domain}.{proto.op_type}",
        name=proto.name,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={attribute.name: _value(attribute) for attribute in proto.attribute},
    )


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
