"""Replacement of the transposed convolutions of a graph."""

from __future__ import annotations

import onnx

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.transposed.chain import find_chain
from spyglass_export.transposed.readers import names_read
from spyglass_export.transposed.reading import constant_weights

_PREFIX = "transposed/"


def rewrite_transposed(model: onnx.ModelProto) -> None:
    """Rewrite transposed convolutions of a graph as plain ones, in place, if that is faster.

    Remaining tensors keep their names, and the outputs are equal except for rounding. A node stays unchanged
    if it has groups, dilations or unequal strides, if its weights are not float32 constants, or if the
    height or width of its feature map is unknown. Raises ModelError if the opset is older than 11.
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
    """Replace the graph's nodes with those of `build`, and drop weights that no node reads any more."""
    before = names_read(graph)
    unread = before - names_read(onnx.GraphProto(node=build.nodes, output=graph.output))
    nodes = [node for node in build.nodes if not unread.issuperset(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name not in unread]
    known = [value for value in graph.value_info if value.name not in unread]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*weights, *build.initializers])
    graph.value_info.extend(known)
