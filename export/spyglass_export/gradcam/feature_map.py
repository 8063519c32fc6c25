"""Search for the last spatial feature map before the class scores."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from spyglass_export.gradcam.errors import Advice, FeatureMapError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.layout import Layout, find_layout
from spyglass_export.gradcam.node import Node

# The outputs of these operators repeat the features of their input: pooled, moved, masked or in another type.
_REPEATING = frozenset(
    {
        "AveragePool",
        "Cast",
        "Dropout",
        "Expand",
        "Flatten",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Identity",
        "LpPool",
        "MaxPool",
        "Pad",
        "QuantizeLinear",
        "Reshape",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)


@dataclass(frozen=True)
class FeatureMap:
    """A tensor of rank 4; `layout` holds its axes of channels, height and width."""

    tensor: str
    layout: Layout

    @property
    def tensors(self) -> list[str]:
        """The tensors of the graph that the map is made of."""
        return [self.tensor]


def find_feature_map(view: GraphView, scores: str, name: str | None) -> FeatureMap:
    """Return the feature map called `name`, a tensor or a node, or the last one before the scores.

    The last one is the first tensor, going back from the scores, that has a height and width above 1 and is
    not the output of a pooling, dropout, identity or layout operator. Raises FeatureMapError if there is
    none, or if a tensor that may be a table of another kind, such as attention, comes before it.
    """
    if name is not None:
        return _named(view, scores, name)
    unclear: str | None = None
    for tensor in _candidates(view, scores):
        layout = find_layout(view, tensor)
        if layout is None:
            unclear = unclear or tensor
        elif _has_extent(view, tensor, layout):
            if unclear is not None:
                raise _unclear(view, unclear, instead=tensor)
            return FeatureMap(tensor, layout)
    if unclear is not None:
        raise _unclear(view, unclear)
    raise FeatureMapError(
        f"the scores '{scores}' are not computed from any tensor with a height and width above 1"
    )


def _candidates(view: GraphView, scores: str) -> Iterator[str]:
    """The tensors that may be the feature map by their shape and operator, the last one first."""
    for node in view.ancestors(scores):
        tensor = node.outputs[0]
        if view.is_fed(tensor) and _may_be_spatial(view, tensor) and not _repeats(view, node):
            yield tensor


def _named(view: GraphView, scores: str, name: str) -> FeatureMap:
    tensor = _tensor_called(view, name)
    ancestors = view.ancestors(scores)
    if tensor not in {output for node in ancestors for output in node.outputs}:
        raise FeatureMapError(f"the scores '{scores}' do not depend on the feature map '{name}'")
    if not _may_be_spatial(view, tensor) or not _has_extent(view, tensor, layout := _layout(view, tensor)):
        raise FeatureMapError(
            f"the feature map must have rank 4 and a height and width above 1; '{name}' has the shape "
            f"{view.dims(tensor)}; choose, for example, the output of the last convolution"
        )
    return FeatureMap(tensor, layout)


def _tensor_called(view: GraphView, name: str) -> str:
    if name in view.producers:
        return name
    named = {node.name: node for node in view.nodes if node.name}
    if name in named:
        return named[name].outputs[0]
    close = difflib.get_close_matches(name, [*view.producers, *named], n=3, cutoff=0.4)
    raise FeatureMapError(f"the model has no tensor or node '{name}'; similar names are {close}")


def _repeats(view: GraphView, node: Node) -> bool:
    """Return whether a node's output repeats the features of an earlier tensor.

    For a quantised feature map, the dequantised tensor counts as the map: reading the tensor before the
    quantiser would keep ONNX Runtime from computing the previous operator in integers.
    """
    if node.op_type == "DequantizeLinear":
        quantiser = view.producers.get(node.inputs[0])
        source = None if quantiser is None else view.producers.get(quantiser.inputs[0])
        return source is None or source.op_type in _REPEATING
    return node.op_type in _REPEATING


def _may_be_spatial(view: GraphView, tensor: str) -> bool:
    """Return whether a tensor is real, of rank 4, and has two axes above 1 besides the batch."""
    if not view.is_real(tensor) or view.rank(tensor) != 4:
        return False
    return sum(size != 1 for size in view.dims(tensor)[1:]) >= 2


def _has_extent(view: GraphView, tensor: str, layout: Layout) -> bool:
    return all(view.dims(tensor)[axis] != 1 for axis in layout.spatial)


def _layout(view: GraphView, tensor: str) -> Layout:
    layout = find_layout(view, tensor)
    if layout is None:
        raise _unclear(view, tensor)
    return layout


def _unclear(
    view: GraphView, tensor: str, instead: str = "the output of the last convolution"
) -> FeatureMapError:
    earlier = f"'{instead}'" if instead in view.producers else instead
    return FeatureMapError(
        f"the graph does not show which axes of '{tensor}', {view.dims(tensor)}, are height and width; an "
        f"earlier tensor may be the feature map, such as {earlier}",
        Advice.NAME_FEATURE_MAP,
    )
