"""Names of tensors and nodes, and other names for tensors whose own name a model file needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSequence

import onnx

from spyglass_export.simplifying.node_order import inner_graphs

_MOVED = "network/"


def moved_names(graph: onnx.GraphProto, needed: Iterable[str]) -> dict[str, str]:
    """Return an unused name for each of the `needed` names that a tensor or node of the graph has."""
    taken = set(all_names(graph))
    moved = {}
    for name in needed:
        if name in taken:
            moved[name] = _unused(f"{_MOVED}{name}", taken)
            taken.add(moved[name])
    return moved


def _unused(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def all_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Yield the names of all tensors and nodes of a graph, also of those in graphs inside its nodes."""
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        yield from (value.name for value in values)
    yield from (sparse.values.name for sparse in graph.sparse_initializer)
    for node in graph.node:
        yield from (node.name, *node.input, *node.output)
        for inner in inner_graphs(node):
            yield from all_names(inner)


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Rename tensors of a graph in place, everywhere they are computed or read."""
    if not names:
        return
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            value.name = names.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        _replace(node.input, names)
        _replace(node.output, names)
        # The branches of an If and the body of a Loop can read tensors of the outer graph.
        for inner in inner_graphs(node):
            rename(inner, names)


def _replace(found: MutableSequence[str], names: Mapping[str, str]) -> None:
    for index, name in enumerate(found):
        if name in names:
            found[index] = names[name]
