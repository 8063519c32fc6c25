"""The sum of the gradient of tokens over their places, next to the linear layers that read them.

A linear layer multiplies every token by the same weights. So the sum of the gradient over the tokens is the
sum of the gradient of the layer's output, times the weights: a product for one row instead of all tokens.
"""

from __future__ import annotations

import math

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.feature_map import FeatureMap, Part
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head, find_head
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.reverse import Gradient, full, gradients_at_ends
from spyglass_export.gradcam.scores import Scores
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sizes import Sized, reshape
from spyglass_export.gradcam.sliced import Sliced
from spyglass_export.gradcam.spatial_sum import SpatialSum, added, summed_over
from spyglass_export.gradcam.weights import as_float32

# Bounds of the denominator and of the result when the sum of magnitudes is divided by the magnitude of a sum.
# Numbers that cancel completely are noise with any factor above 2^15.
_SMALLEST, _LARGEST = 1e-30, 2.0**24

# The axis of the tokens in [batch, tokens, channels].
_TOKENS = 1


def token_sum(
    view: GraphView, build: GraphBuilder, feature_map: FeatureMap, scores: Scores
) -> SpatialSum | None:
    """Append the reverse pass and return the sum of ∂score/∂A over the places of tokens.

    None, without a new node, if the map is not one tensor [batch, tokens, channels], or if no linear layer
    reads it. Raises UnsupportedHead.
    """
    if len(feature_map.parts) != 1 or not _holds_tokens(view, feature_map.parts[0]):
        return None
    (part,) = feature_map.parts
    head = find_head(view, part.tensor, scores.tensor)
    layers = {node.outputs[0]: node for node in head.nodes if _is_linear(view, head, node, part.tensor)}
    if not layers:
        return None
    ends = gradients_at_ends(view, build, head, seed(view, build, scores), layers.values())
    read = {name: end for name, end in ends.items() if _reaches_a_place(part, end)} or ends
    found = [
        _behind_layer(view, build, part, layers[name], full(build, end))
        if name in layers
        else _at_tokens(view, build, part, full(build, end))
        for name, end in read.items()
    ]
    return added(build, found)


def _holds_tokens(view: GraphView, part: Part) -> bool:
    """Return whether each place has one token, along axis 1."""
    arrangement, dims = part.placement.arrangement, view.dims(part.tensor)
    tokens = dims[1] if arrangement.picked is None else len(arrangement.picked)
    return (
        len(dims) == 3
        and tokens == math.prod(arrangement.grid)
        and not arrangement.batch.folded
        and arrangement.order == (0, 1, 2)
        and arrangement.varying == 1
        and arrangement.sizes == dims[1:]
    )


def _is_linear(view: GraphView, head: Head, node: Node, tokens: str) -> bool:
    return (
        node.op_type == "MatMul"
        and node.inputs[0] == tokens
        and head.reads(node) == [0]
        and view.rank(node.inputs[1]) == 2
    )


def _reaches_a_place(part: Part, gradient: Gradient) -> bool:
    """False for the gradient of tokens that lie at no place, such as the class token."""
    picked = part.placement.arrangement.picked
    if picked is None or not isinstance(gradient, Sliced) or gradient.within.axis != _TOKENS:
        return True
    return any(gradient.within.start <= place < gradient.within.stop for place in picked)


def _at_tokens(view: GraphView, build: GraphBuilder, part: Part, gradient: Cotangent) -> SpatialSum:
    whole = Sized(dense(build, gradient).name, view.dims(part.tensor))
    arranged = part.placement.arranged(build, whole)
    return summed_over(build, Cotangent(arranged.name, arranged), (1, 2))


def _behind_layer(
    view: GraphView, build: GraphBuilder, part: Part, layer: Node, gradient: Cotangent
) -> SpatialSum:
    """The sums of a layer's output, times the weights.

    The magnitudes are those of the sums, multiplied by what cancelled when the tokens were added up.
    """
    picked = _at_places(build, part, dense(build, gradient).name)
    sums = reduce(build, "ReduceSum", picked, [_TOKENS], keepdims=False)
    sizes = reduce(build, "ReduceL1", picked, [1, 2])
    left = build.add("Max", reduce(build, "ReduceL1", sums, [1]), build.floats(_SMALLEST))
    cancelled = build.add("Div", reshape(build, sizes, [-1, 1]), left)
    cancelled = build.add("Min", cancelled, build.floats(_LARGEST))
    weighted = build.add("Gemm", sums, as_float32(view, build, layer.inputs[1]), transB=1)
    return SpatialSum(weighted, build.add("Mul", build.add("Abs", weighted), cancelled))


def _at_places(build: GraphBuilder, part: Part, name: str) -> str:
    """The tokens of [rows, tokens, numbers] that lie at a place."""
    picked = part.placement.arrangement.picked
    if picked is None:
        return name
    start, stop = picked[0], picked[-1] + 1
    if picked == tuple(range(start, stop)):
        return build.add("Slice", name, *(build.integers([bound]) for bound in (start, stop, _TOKENS)))
    return build.add("Gather", name, build.integers(picked), axis=_TOKENS)
