"""Replaces the transposed convolutions of a graph."""

from __future__ import annotations

import onnx

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.transposed.chain import find_chain
from spyglass_export.transposed.readers import names_read
from spyglass_export.transposed.reading import constant_weights

_PREFIX = "transposed/"


def rewrite_transposed(model: onnx.ModelProto) -> None:
    """Writes the transposed convolutions of a graph as plain ones, in place, where that is faster.

    Tensors that stay keep their names, and the answers are the same but for rounding. What has groups,
    dilations, strides that differ, weights that are no float32 constants, or a feature map of unknown height
    or width is left as it is. Raises ModelError where the opset is older than 11.
    """
    view, weights = GraphView(model), constant_weights(model.graph)
    build = GraphBuilder(view.opset, _names(model.graph), _PREFIX)
    replaced: set[int] = set()
    for node, proto in zip(view.nodes, model.graph.node, strict=True):
        if node.index in replaced:
            continue
        chain = find_chain(view, weights, node)
        if chain is None:
            build.nodes.append(proto)
        else:
            chain.add(build)
            replaced |= chain.members
    if replaced:
        _replace(model.graph, build)


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {value.name for values in (graph.input, graph.output, graph.initializer) for value in values}
    return named.union(*((node.name, *node.output) for node in graph.node))


def _replace(graph: onnx.GraphProto, build: GraphBuilder) -> None:
    """Puts the nodes of `build` in place of the graph's, and drops the weights that nobody reads any more."""
    before = names_read(graph)
    unread = before - names_read(onnx.GraphProto(node=build.nodes, output=graph.output))
    nodes = [node for node in build.nodes if not unread.issuperset(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name not in unread]
    known = [value for value in graph.value_info if value.name not in unread]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*weights, *build.initializers])
    graph.value_info.extend(known)
