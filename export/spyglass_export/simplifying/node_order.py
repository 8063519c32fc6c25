"""Order of a graph's nodes: each one behind the nodes that it reads, and only those that are needed."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import onnx
from google.protobuf.message import Message

from spyglass_contract.errors import ModelError

_Message = TypeVar("_Message", bound=Message)


def in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy in which each node comes behind the nodes whose outputs it reads.

    Raises ModelError if nodes read each other in a circle.
    """
    if all(_is_ordered(graph) for graph in all_graphs(model.graph)):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for graph in all_graphs(copy.graph):
        _sort(graph)
    return copy


def keep_needed(graph: onnx.GraphProto, tensor: str) -> None:
    """Remove the nodes and weights that `tensor` does not depend on, in place. The nodes must be in order."""
    kept, needed = needed_for([tensor], graph.node)
    if len(kept) < len(graph.node):
        nodes = [copied(node) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)
    dropped = {weight.name for weight in graph.initializer} - needed
    if dropped:
        # In old files each weight is an input as well.
        weights = [copied(weight) for weight in graph.initializer if weight.name not in dropped]
        inputs = [copied(value) for value in graph.input if value.name not in dropped]
        del graph.initializer[:], graph.input[:]
        graph.initializer.extend(weights)
        graph.input.extend(inputs)


def needed_for(
    tensors: Iterable[str], nodes: Sequence[onnx.NodeProto]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that `tensors` depend on, and the names of these and of all tensors that they read.

    The nodes must be in order, and stay so.
    """
    names, kept = set(tensors), []
    for node in reversed(nodes):
        if names.intersection(node.output):
            names.update(reads(node))
            kept.append(node)
    return kept[::-1], names


def copied(message: _Message) -> _Message:
    """Return a copy of a protobuf message."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def all_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and the graphs inside its nodes."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from all_graphs(inner)


def inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Return the graphs of a node, such as the branches of an If and the body of a Loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph, also of the graphs inside its nodes."""
    for each in all_graphs(graph):
        yield from each.node


def reads(node: onnx.NodeProto) -> set[str]:
    """Return the tensors that a node reads, also inside its own graphs."""
    names = set(node.input)
    for graph in inner_graphs(node):
        names.update(value.name for value in graph.output)
        names.update(*(reads(inner) for inner in graph.node))
    return names - {""}


def captured(node: onnx.NodeProto) -> set[str]:
    """Return the tensors of the graph around a node that the node reads only inside its own graphs."""
    own = [graph for inner in inner_graphs(node) for graph in all_graphs(inner)]
    if not own:
        return set()
    defined = {value.name for graph in own for values in (graph.input, graph.initializer) for value in values}
    defined.update(name for graph in own for each in graph.node for name in each.output)
    return reads(node) - defined - set(node.input)


def _is_ordered(graph: onnx.GraphProto) -> bool:
    later = {name for node in graph.node for name in node.output if name}
    for node in graph.node:
        if later.intersection(reads(node)):
            return False
        later.difference_update(node.output)
    return True


def _sort(graph: onnx.GraphProto) -> None:
    """Sort the nodes; of those that are ready, the one that came first in the file comes first."""
    nodes = [copied(node) for node in graph.node]
    producers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    readers, missing = defaultdict(list), {}
    for index, node in enumerate(nodes):
        sources = {producers[name] for name in reads(node) if name in producers}
        missing[index] = len(sources)
        for source in sources:
            readers[source].append(index)
    ready = [index for index, count in missing.items() if not count]
    del graph.node[:]
    while ready:
        index = heapq.heappop(ready)
        graph.node.append(nodes[index])
        for reader in readers[index]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, reader)
    if len(graph.node) < len(nodes):
        names = [nodes[index].name or nodes[index].op_type for index, count in missing.items() if count]
        raise ModelError(f"the network's nodes read each other in a circle: {', '.join(names[:4])}")
