"""The sum of a feature map's gradient over height and width. Grad-CAM needs only this sum.

A pooling distributes the gradient of each output over the places of its window with weights that add up to
1. So the sum of the gradient before the pooling equals the sum after it: the reverse pass can skip poolings
next to the feature map, and never needs a gradient of the feature map's size.

For a Dense layer on the flattened map, the sum is a product with the layer's weight summed over height and
width. For VGG16's first Dense layer this weight is a 49th of the original, and ONNX Runtime computes it when
it loads the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, OneHot, dense, sum_over
from spyglass_export.gradcam.feature_map import FeatureMap
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.opset_forms import squeeze
from spyglass_export.gradcam.reverse import Gradient, full, gradients_at_ends
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like
from spyglass_export.gradcam.summed_product import summed_product

_POOLINGS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"})
_SAME = frozenset({"Cast", "Dropout", "Identity"})


@dataclass(frozen=True)
class Place:
    """A tensor of rank 4 whose gradient has the same sum as the feature map's, and its axis of channels."""

    tensor: Sized
    channel: int

    @property
    def spatial(self) -> list[int]:
        """The axes to sum over."""
        return [axis for axis in (1, 2, 3) if axis != self.channel]

    @property
    def has_extent(self) -> bool:
        """False if there is nothing to sum."""
        return any(self.tensor.dims[axis] != 1 for axis in self.spatial)


@dataclass(frozen=True)
class SpatialSum:
    """Sums over height and width, float32 [rows, channels], and the sums of the magnitudes of their terms.

    `magnitudes` is None if no term of a sum differs from the others: then nothing can cancel.
    """

    sums: str
    magnitudes: str | None


@dataclass
class _Neighbourhood:
    """The nodes next to the feature map that the reverse pass can skip.

    `places` maps each tensor that holds the numbers of a place in order, of any rank, to that place;
    `products` maps the outputs of Dense layers on such tensors to the layer and the place; `passed` holds
    all skipped nodes.
    """

    places: dict[str, Place]
    products: dict[str, tuple[Node, Place]] = field(default_factory=dict)
    passed: list[Node] = field(default_factory=list)


def spatial_sum(
    view: GraphView, build: GraphBuilder, head: Head, feature_map: FeatureMap, start: Gradient
) -> SpatialSum:
    """Append the reverse pass and return ΣΣ ∂score/∂A over height and width.

    `start` is the gradient of the head's scores. Raises UnsupportedHead.
    """
    near = _neighbourhood(view, head, feature_map)
    ends = gradients_at_ends(view, build, head, start, near.passed)
    found = [_sum(view, build, near, name, gradient) for name, gradient in ends.items()]
    if len(found) == 1:
        return found[0]
    magnitudes = [each.magnitudes or build.add("Abs", each.sums) for each in found]
    return SpatialSum(build.add("Sum", *(each.sums for each in found)), build.add("Sum", *magnitudes))


def _sum(view: GraphView, build: GraphBuilder, near: _Neighbourhood, name: str, end: Gradient) -> SpatialSum:
    if name in near.products:
        node, place = near.products[name]
        dims = place.tensor.dims[1:]
        if not isinstance(end, OneHot):
            end = full(build, end)
        # Its terms are sums over the outputs of the layer, and need not be added up twice.
        return SpatialSum(summed_product(view, build, node, end, dims, place.spatial), None)
    place = near.places[name]
    gradient = full(build, end)
    if gradient.of.rank != 4:
        folded = reshape(build, dense(build, gradient).name, rows_like(build, place.tensor))
        gradient = Cotangent(folded, place.tensor)
    return summed_over(build, dense(build, gradient, [place.channel]), place.spatial)


def summed_over(build: GraphBuilder, gradient: Cotangent, spatial: Sequence[int]) -> SpatialSum:
    """Add the sums of a gradient of rank 4 over the axes of height and width."""
    sums = squeeze(build, sum_over(build, gradient, spatial), spatial)
    if gradient.spread >= set(spatial):
        return SpatialSum(sums, None)
    terms = replace(gradient, name=build.add("Abs", gradient.name))
    return SpatialSum(sums, squeeze(build, sum_over(build, terms, spatial), spatial))


def _neighbourhood(view: GraphView, head: Head, feature_map: FeatureMap) -> _Neighbourhood:
    tensor = Sized(feature_map.tensor, view.dims(feature_map.tensor))
    near = _Neighbourhood({feature_map.tensor: Place(tensor, feature_map.layout.channel)})
    for node in head.nodes:
        place = near.places.get(node.inputs[0])
        if place is None or head.reads(node) != [0]:
            continue
        if _is_dense_layer(view, node) and place.has_extent:
            near.products[node.outputs[0]] = node, place
        elif (after := _behind(view, node, place)) is not None:
            near.places[node.outputs[0]] = after
        else:
            continue
        near.passed.append(node)
    return near


def _is_dense_layer(view: GraphView, node: Node) -> bool:
    """Return whether a node multiplies flattened maps [batch, numbers] by a weight."""
    if node.op_type not in ("Gemm", "MatMul") or node.attribute("transA", 0):
        return False
    return view.rank(node.inputs[0]) == view.rank(node.inputs[1]) == 2


def _behind(view: GraphView, node: Node, place: Place) -> Place | None:
    """The place of a node's output, None if the node does not keep the sum of the gradient."""
    result = Sized(node.outputs[0], view.dims(node.outputs[0]))
    if node.op_type in _SAME or _flattens(node, place, result):
        return place
    if view.rank(node.inputs[0]) != 4:
        return None
    if node.op_type == "Transpose":
        perm = list(node.attribute("perm", [3, 2, 1, 0]))
        return Place(result, perm.index(place.channel)) if perm[0] == 0 else None
    keeps = node.op_type in _POOLINGS and not node.attribute("count_include_pad", 0)
    return Place(result, 1) if keeps and place.channel == 1 else None


def _flattens(node: Node, place: Place, result: Sized) -> bool:
    """Return whether a node flattens each image to one row of numbers."""
    sizes = place.tensor.dims[1:]
    if node.op_type not in ("Flatten", "Reshape") or result.rank != 2 or None in sizes:
        return False
    return result.dims[1] == math.prod(size for size in sizes if size is not None)
