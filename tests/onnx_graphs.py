"""Small ONNX files that tests build: any nodes, functions and external data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest


def onnx_package() -> Any:
    """Return the package `onnx`; a test is skipped without it."""
    return pytest.importorskip("onnx")


def save_graph(
    path: Path, nodes: Sequence[Any], *, functions: Sequence[Any] = (), initializers: Sequence[Any] = ()
) -> Path:
    """Write a file whose graph has these nodes, unchecked. Return the path."""
    onnx = onnx_package()
    graph = onnx.helper.make_graph(list(nodes), "graph", [], [], list(initializers))
    model = onnx.helper.make_model(graph, functions=list(functions))
    path.write_bytes(model.SerializeToString())
    return path


def node(operator: str, domain: str = "", **attributes: Any) -> Any:
    """Return a node that maps `x` to `y`."""
    return onnx_package().helper.make_node(operator, ["x"], ["y"], domain=domain, **attributes)


def function(name: str, nodes: Sequence[Any], domain: str = "own") -> Any:
    """Return a function of one input `x` and one output `y`."""
    helper = onnx_package().helper
    return helper.make_function(domain, name, ["x"], ["y"], list(nodes), [helper.make_opsetid("", 17)])


def external_tensor(location: str, **entries: int) -> Any:
    """Return a float32 tensor [2] whose values are in the file `location`."""
    onnx = onnx_package()
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=1)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf with a length."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
