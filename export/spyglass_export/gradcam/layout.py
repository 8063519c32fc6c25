"""The axes of channels, height and width of a four-dimensional tensor.

Convolutions and poolings in ONNX have channels first. Other operators take any layout, and converters put
Transposes between them. So the layout of a tensor comes from the nearest tensor whose operator shows it,
carried along the elementwise operators and Transposes in between.

Transformers have tensors of rank 4 too: [batch, heads, tokens, numbers], or tokens by tokens, without height
and width. So a tensor has no layout if it is the product of two activations, if a Reshape split the numbers
of each token, or if it keeps the axes of such a tensor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.tokens import carries_tokens, is_of_tokens

_CHANNELS_FIRST = frozenset(
    {
        "AveragePool",
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "MaxPool",
        "SpaceToDepth",
    }
)
_REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceSum"})


@dataclass(frozen=True)
class Layout:
    """The axis of channels, and the axes of height and width in that order."""

    channel: int
    spatial: tuple[int, int]


CHANNELS_FIRST = Layout(channel=1, spatial=(2, 3))
CHANNELS_LAST = Layout(channel=3, spatial=(1, 2))

# Axis i of the tensor that the search reached is axis `order[i]` of the tensor that it started from.
_Order = tuple[int, ...]


def find_layout(view: GraphView, tensor: str) -> Layout | None:
    """Return the layout of a tensor of rank 4, None if the graph does not show it or there is no layout."""
    waiting: deque[tuple[str, _Order]] = deque([(tensor, (0, 1, 2, 3))])
    seen = {tensor}
    while waiting:
        name, order = waiting.popleft()
        if is_of_tokens(view, name):
            return None
        if (layout := _evidence(view, name)) is not None:
            return _in_order(layout, order)
        for neighbour, moved in _neighbours(view, name, order):
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append((neighbour, moved))
    return None


def _in_order(layout: Layout, order: _Order) -> Layout | None:
    height, width = (order[axis] for axis in layout.spatial)
    return Layout(order[layout.channel], (height, width)) if order[0] == 0 else None


def _evidence(view: GraphView, name: str) -> Layout | None:
    around = [node for node in view.consumers.get(name, ()) if node.input(0) == name]
    if name in view.producers:
        around.append(view.producers[name])
    for node in around:
        if node.op_type in _CHANNELS_FIRST:
            return CHANNELS_FIRST
        if _works_on_last_axis(view, node):
            return CHANNELS_LAST
        if node.op_type in _REDUCTIONS and (layout := _of_reduction(view, node)) is not None:
            return layout
    return None


def _works_on_last_axis(view: GraphView, node: Node) -> bool:
    """Return whether a node combines or normalises the numbers of each place with weights."""
    if not node.input(1) or view.is_fed(node.input(1)):
        return False
    if node.op_type == "MatMul":
        by_weights = view.rank(node.input(1)) == 2
    else:
        by_weights = node.op_type == "LayerNormalization" and node.attribute("axis", -1) in (-1, 3)
    return by_weights and not carries_tokens(view, node.inputs[0])


def _of_reduction(view: GraphView, node: Node) -> Layout | None:
    axes = node.attribute("axes")
    if axes is None and node.input(1):
        axes = view.constant(node.input(1))
    reduced = set() if axes is None else {int(axis) % 4 for axis in axes}
    if reduced == set(CHANNELS_FIRST.spatial):
        return CHANNELS_FIRST
    return CHANNELS_LAST if reduced == set(CHANNELS_LAST.spatial) else None


def _neighbours(view: GraphView, name: str, order: _Order) -> Iterator[tuple[str, _Order]]:
    for node in view.consumers.get(name, ()):
        for output in node.outputs:
            yield from _across(view, node, order, source=name, target=output)
    if (producer := view.producers.get(name)) is not None:
        for read in producer.inputs:
            yield from _across(view, producer, order, source=name, target=read)


def _across(
    view: GraphView, node: Node, order: _Order, *, source: str, target: str
) -> Iterator[tuple[str, _Order]]:
    """The neighbour across a node, if the node keeps the axes or is a Transpose."""
    if not target or view.rank(target) != 4:
        return
    if node.op_type == "Transpose":
        perm = list(node.attribute("perm", [3, 2, 1, 0]))
        moves = perm if source == node.inputs[0] else [perm.index(axis) for axis in range(4)]
        yield target, tuple(order[axis] for axis in moves)
    elif node.op_type not in ("Einsum", "Expand", "MatMul", "Reshape"):
        yield target, order
