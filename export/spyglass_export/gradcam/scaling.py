"""The last steps of every gradient method: rounding noise becomes 0, and a map is divided by its maximum.

A map is a sum of terms of both signs: over the channels, and for Grad-CAM also over the places of the
gradient. If the terms cancel, for example behind a softmax over all places, only their rounding errors are
left. Divided by its own maximum, that noise would look like any other map.
"""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.sizes import Size

# A map is noise if no place is above this part of the sum of its terms' magnitudes.
#
# float32 has a relative rounding error of 2^-24. Behind a softmax over 49 to 3,136 places, whose terms
# y·(g - Σ g·y) are rounded differences themselves, cancelled maps reach 3·10⁻⁸ to 3·10⁻⁵ of their terms.
_FLOAT32_NOISE = 2.0**-15
# float16 has a relative rounding error of 2^-11: a softmax rounded to float16 misses the sum 1 by that.
_FLOAT16_NOISE = 2.0**-10

# Positive places are noise below this part of the map's noise: only the rounding of their own sums is left.
_POSITIVE_NOISE = 2.0**-5

# A map is divided by its maximum, or by this if that is more.
_SMALLEST_MAXIMUM = 1e-12

_NONNEGATIVE = frozenset({"Abs", "Exp", "HardSigmoid", "Relu", "Sigmoid", "Softmax", "Softplus", "Sqrt"})


@dataclass(frozen=True)
class Excess:
    """How far each place of a map is above rounding noise: float32 [rows, any, any] for each of two sorts.

    `of_any_sign` compares the magnitude with the noise of the map, which its weights can have, and `positive`
    the value with the much smaller noise of its own sum.
    """

    of_any_sign: str
    positive: str


def excess_of(build: GraphBuilder, values: str, noise: str) -> Excess:
    """Add the excess of `values` above `noise`, the `noise_level` times the magnitudes of their terms."""
    own = build.add("Mul", noise, build.floats(_POSITIVE_NOISE))
    return Excess(build.add("Sub", build.add("Abs", values), noise), build.add("Sub", values, own))


@dataclass(frozen=True)
class RawMap:
    """A map before clipping and scaling, float32 [rows, height, width]: `values` divided by `count`.

    `excess` is None if the method adds up nothing that can cancel.
    """

    values: str
    excess: Excess | None = None
    count: Size = 1


def noise_level(view: GraphView, scores: str) -> float:
    """Return the part of its terms below which a map is noise, for the types that `scores` come from."""
    computed = (name for node in view.ancestors(scores) for name in node.outputs)
    coarse = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
    return _FLOAT16_NOISE if any(view.element(name) in coarse for name in computed) else _FLOAT32_NOISE


def scaled(build: GraphBuilder, raw: RawMap) -> str:
    """Add the positive part of a map divided by its maximum, in [0, 1]; zeros if nothing is positive.

    A map without any place above its noise also becomes zeros, and so does one whose positive places are all
    noise. So does a map with a NaN or an infinite number: its other places come from the same weights.
    """
    # A sum with a NaN or an infinite number is one, too. Times 0 it is NaN, and no number is above NaN.
    whole = reduce(build, "ReduceSum", raw.values, [1, 2])
    nothing = build.add("Mul", whole, build.floats(0))
    if raw.excess is None:
        shown = build.add("Equal", nothing, build.floats(0))
    else:
        of_any_sign = reduce(build, "ReduceMax", raw.excess.of_any_sign, [1, 2])
        positive = reduce(build, "ReduceMax", raw.excess.positive, [1, 2])
        shown = build.add("Greater", build.add("Min", of_any_sign, positive), nothing)
    evidence = build.add("Relu", build.add("Where", shown, raw.values, build.floats(0)))
    largest = reduce(build, "ReduceMax", evidence, [1, 2])
    return build.add("Div", evidence, build.add("Max", largest, _smallest_maximum(build, raw.count)))


def _smallest_maximum(build: GraphBuilder, count: Size) -> str:
    """1e-12 for the map itself, so `count` times that for its values."""
    if isinstance(count, int):
        return build.floats(_SMALLEST_MAXIMUM * count)
    number = build.add("Cast", count, to=TensorProto.FLOAT)
    return build.add("Mul", number, build.floats(_SMALLEST_MAXIMUM))


def is_nonnegative(view: GraphView, tensor: str) -> bool:
    """Return whether the operator that computes a tensor makes no negative number."""
    node = view.producers.get(tensor)
    if node is not None and node.op_type == "Clip":
        smallest = view.constant(node.input(1)) if node.input(1) else None
        return smallest is not None and bool((smallest >= 0).all())
    return node is not None and node.op_type in _NONNEGATIVE
