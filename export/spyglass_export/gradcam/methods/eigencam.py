"""Eigen-CAM (Muhammad and Yeasin 2020): the first principal component of the feature map, for any class."""

from __future__ import annotations

import math

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.explanation import Explanation
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.scaling import RawMap
from spyglass_export.gradcam.sizes import reshape

# 2^12 steps of the power method: a second singular value of 0.998 of the first keeps 10⁻⁷ of its part.
_SQUARINGS = 12


def eigencam(given: Explanation) -> RawMap:
    """Project A, as places × channels without centring, on its first right singular vector.

    The decomposition leaves the sign open; this takes the sign that makes the sum over the map positive.
    The map is the same for every class, repeated for each requested row.
    """
    build = given.build
    matrix = _places_by_channels(given)
    projection = _by_channels(build, matrix) if _fewer_channels(given) else _by_places(build, matrix)
    rows = build.add("Concat", build.add("Shape", CLASS_INDEX), build.integers([1, 1]), axis=0)
    return RawMap(build.add("Expand", given.as_map(projection), rows))


def _places_by_channels(given: Explanation) -> str:
    """A as [batch, places, channels], scaled to a largest absolute value of 1, so that no power overflows."""
    build, activations = given.build, given.activations.name
    if given.feature_map.layout.channel == 1:
        activations = build.add("Transpose", activations, perm=[0, 2, 3, 1])
    return _scaled(build, reshape(build, activations, [0, -1, given.channels]))


def _fewer_channels(given: Explanation) -> bool:
    dims, layout = given.activations.dims, given.feature_map.layout
    places = [dims[axis] for axis in layout.spatial]
    channels = dims[layout.channel]
    known = [size for size in places if size is not None]
    return channels is not None and (len(known) < 2 or channels < math.prod(known))


def _by_places(build: GraphBuilder, matrix: str) -> str:
    """For X = places × channels, a high power of XXᵀ is uuᵀ for its first eigenvector u, up to scale.

    The sums of its rows are u·Σu: the projection, with a positive sum.
    """
    turned = build.add("Transpose", matrix, perm=[0, 2, 1])
    power = _power(build, build.add("MatMul", matrix, turned))
    return reduce(build, "ReduceSum", power, [2])


def _by_channels(build: GraphBuilder, matrix: str) -> str:
    """The same result from the smaller XᵀX: X·(XᵀX)ⁿ·Xᵀ is (XXᵀ)ⁿ⁺¹."""
    turned = build.add("Transpose", matrix, perm=[0, 2, 1])
    power = _power(build, build.add("MatMul", turned, matrix))
    sums = reduce(build, "ReduceSum", turned, [2])
    return build.add("MatMul", matrix, build.add("MatMul", power, sums))


def _power(build: GraphBuilder, square: str) -> str:
    for _ in range(_SQUARINGS):
        square = _scaled(build, square)
        square = build.add("MatMul", square, square)
    return _scaled(build, square)


def _scaled(build: GraphBuilder, matrix: str) -> str:
    largest = reduce(build, "ReduceMax", build.add("Abs", matrix), [1, 2])
    return build.add("Div", matrix, build.add("Max", largest, build.floats(1e-30)))
