"""One node of an ONNX graph as plain Python data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper

from spyglass_export.simplifying.node_order import captured


@dataclass(frozen=True, eq=False)
class Node:
    """A node and its index in the graph's topological order."""

    index: int
    op_type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    # Tensors of the outer graph that the node reads only inside its own graphs, as an If does.
    captured: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """All tensors that the node depends on."""
        return (*self.inputs, *self.captured)

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return the value of an attribute, int, float, str or list, or `default` if it is not set.

        A string that is not UTF-8, such as a compiled engine of a vendor, stays bytes.
        """
        return self.attributes.get(name, default)

    def input(self, index: int) -> str:
        """Return the name of an input, empty if the node does not have it."""
        return self.inputs[index] if index < len(self.inputs) else ""

    @property
    def label(self) -> str:
        """Name of the node in messages: operator, and its own name or that of its output."""
        return f"{self.op_type} node '{self.name or self.outputs[0]}'"


def read_nodes(nodes: Iterable[onnx.NodeProto]) -> list[Node]:
    """Return the nodes of a graph in order. Operators of another domain are named `domain.Operator`."""
    return [_read(index, proto) for index, proto in enumerate(nodes)]


# ONNX Runtime's own forms of these, for 16 bits in opsets before 21, mean the same.
_SAME_ELSEWHERE = frozenset({("com.microsoft", "QuantizeLinear"), ("com.microsoft", "DequantizeLinear")})


def _read(index: int, proto: onnx.NodeProto) -> Node:
    standard = proto.domain in ("", "ai.onnx") or (proto.domain, proto.op_type) in _SAME_ELSEWHERE
    return Node(
        index=index,
        op_type=proto.op_type if standard else f"{proto.domain}.{proto.op_type}",
        name=proto.name,
        inputs=tuple(proto.input),
        outputs=tuple(proto.output),
        attributes={attribute.name: _value(attribute) for attribute in proto.attribute},
        captured=tuple(sorted(captured(proto))),
    )


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value
