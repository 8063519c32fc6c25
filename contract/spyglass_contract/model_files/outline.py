"""The outline of an ONNX file: its operators, its number of nodes, and the places of its external data.

The field numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). Protobuf
merges a message that occurs twice, and takes the last of several values; here every occurrence counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.wire import BYTES, VARINT, Wire, invalid

# Domain and name of an operator or of a function in the file.
Operator = tuple[str, str]

_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 20, 25
_TRAINING_GRAPHS = (1, 2)
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_DEFAULT = 1, 7, 10, 11
_NODE_OPERATOR, _NODE_ATTRIBUTE, _NODE_DOMAIN = 4, 5, 7
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_EXTERNAL, _TENSOR_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


@dataclass(frozen=True)
class ExternalData:
    """The place of a tensor's values in another file; `length` None: up to its end."""

    location: str
    offset: int = 0
    length: int | None = None


@dataclass
class Body:
    """What a graph or a function holds, with its subgraphs."""

    # How often it has each operator.
    operators: Counter[Operator] = field(default_factory=Counter)


@dataclass
class Outline:
    """What was found in a file."""

    main: Body = field(default_factory=Body)
    # The functions that the file defines. Overloads of a name are one body.
    functions: dict[Operator, Body] = field(default_factory=dict)
    external: list[ExternalData] = field(default_factory=list)
    initializers: int = 0
    nodes: int = 0


def read_outline(data: bytes, limits: FileLimits) -> Outline:
    """Read the outline of a file's bytes.

    Raises ModelError: MODEL_INVALID if they are no ONNX model, MODEL_TOO_LARGE past a limit.
    """
    # ONNX Runtime would read its own format, in which nothing is checked here.
    if data[4:8] == b"ORTM":
        raise ModelError(
            "the file is in ONNX Runtime's own format, not in ONNX: serve the ONNX file that it was made of",
            reason="MODEL_INVALID",
        )
    return _Reader(data, limits).read()


class _Reader:
    def __init__(self, data: bytes, limits: FileLimits) -> None:
        self._wire = Wire(data, limits.max_fields)
        self._limits = limits
        self._found = Outline()

    def read(self) -> Outline:
        graphs = 0
        for number, kind, start, end in self._wire.fields(0, len(self._wire.data)):
            if kind != BYTES:
                continue
            if number == _MODEL_GRAPH:
                graphs += 1
                self._graph(start, end, self._found.main, 1)
            elif number == _MODEL_FUNCTION:
                self._function(start, end)
            elif number == _MODEL_TRAINING:
                for inner, inner_kind, first, last in self._wire.fields(start, end):
                    if inner in _TRAINING_GRAPHS and inner_kind == BYTES:
                        self._graph(first, last, self._found.main, 1)
        if not graphs:
            raise invalid("it has no graph")
        return self._found

    def _graph(self, start: int, end: int, body: Body, depth: int) -> None:
        if depth > self._limits.max_depth:
            raise ModelError(
                f"the file has more than {self._limits.max_depth} graphs inside each other",
                reason="MODEL_TOO_LARGE",
            )
        for number, kind, first, last in self._wire.fields(start, end):
            if kind != BYTES:
                continue
            if number == _GRAPH_NODE:
                self._node(first, last, body, depth)
            elif number == _GRAPH_INITIALIZER:
                self._initializer(first, last)
            elif number == _GRAPH_SPARSE:
                self._sparse(first, last)

    def _function(self, start: int, end: int) -> None:
        name = domain = ""
        body = Body()
        for number, kind, first, last in self._wire.fields(start, end):
            if kind != BYTES:
                continue
            if number == _FUNCTION_NAME:
                name = self._wire.text(first, last)
            elif number == _FUNCTION_DOMAIN:
                domain = self._wire.text(first, last)
            elif number == _FUNCTION_NODE:
                self._node(first, last, body, 1)
            elif number == _FUNCTION_DEFAULT:
                self._attribute(first, last, body, 1)
        self._found.functions.setdefault((domain, name), Body()).operators.update(body.operators)

    def _node(self, start: int, end: int, body: Body, depth: int) -> None:
        operator = domain = ""
        for number, kind, first, last in self._wire.fields(start, end):
            if kind != BYTES:
                continue
            if number == _NODE_OPERATOR:
                operator = self._wire.text(first, last)
            elif number == _NODE_DOMAIN:
                domain = self._wire.text(first, last)
            elif number == _NODE_ATTRIBUTE:
                self._attribute(first, last, body, depth)
        self._found.nodes += 1
        if self._found.nodes > self._limits.max_nodes:
            raise too_many_nodes(self._limits)
        body.operators[domain, operator] += 1

    def _attribute(self, start: int, end: int, body: Body, depth: int) -> None:
        for number, kind, first, last in self._wire.fields(start, end):
            if kind != BYTES:
                continue
            if number in _ATTRIBUTE_GRAPHS:
                self._graph(first, last, body, depth + 1)
            elif number in _ATTRIBUTE_TENSORS:
                self._tensor(first, last)
            elif number in _ATTRIBUTE_SPARSE:
                self._sparse(first, last)

    def _initializer(self, start: int, end: int) -> None:
        self._found.initializers += 1
        if self._found.initializers > self._limits.max_nodes:
            raise ModelError(
                f"the file has more than {self._limits.max_nodes} initializers; if you trust it, set "
                "--max-model-nodes",
                reason="MODEL_TOO_LARGE",
            )
        self._tensor(start, end)

    def _sparse(self, start: int, end: int) -> None:
        # Values and indices are tensors, fields 1 and 2.
        for number, kind, first, last in self._wire.fields(start, end):
            if kind == BYTES and number in (1, 2):
                self._initializer(first, last)

    def _tensor(self, start: int, end: int) -> None:
        entries: list[tuple[str, str]] = []
        external = False
        for number, kind, first, last in self._wire.fields(start, end):
            if number == _TENSOR_EXTERNAL and kind == BYTES:
                entries.append(self._entry(first, last))
            elif number == _TENSOR_LOCATION and kind == VARINT:
                external = external or first != 0
        if entries or external:
            self._found.external += _places(entries)

    def _entry(self, start: int, end: int) -> tuple[str, str]:
        key = value = ""
        for number, kind, first, last in self._wire.fields(start, end):
            if kind == BYTES and number == _ENTRY_KEY:
                key = self._wire.text(first, last)
            elif kind == BYTES and number == _ENTRY_VALUE:
                value = self._wire.text(first, last)
        return key, value


def too_many_nodes(limits: FileLimits) -> ModelError:
    """Return the error of a file with too many nodes."""
    return ModelError(
        f"the file has more than {limits.max_nodes} nodes, with those of its subgraphs and functions; if you "
        "trust it, set --max-model-nodes",
        reason="MODEL_TOO_LARGE",
    )


def _places(entries: list[tuple[str, str]]) -> list[ExternalData]:
    """Return the places that the entries of one tensor name. Raises ModelError."""
    locations = [value for key, value in entries if key == "location"]
    if not locations:
        raise external_data_error("a tensor has its values in another file, and does not name it")
    offsets = [_size(key, value) for key, value in entries if key == "offset"]
    lengths = [_size(key, value) for key, value in entries if key == "length"]
    offset, length = max(offsets, default=0), max(lengths, default=None)
    return [ExternalData(location, offset, length) for location in locations]


def _size(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise external_data_error(f"the {key} of external data must be a number of bytes, not {value[:40]!r}")
    return int(value)


def external_data_error(problem: str) -> ModelError:
    """Return the error of external data that may not be read."""
    return ModelError(problem, reason="MODEL_EXTERNAL_DATA")
