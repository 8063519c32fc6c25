"""Max pooling with a sliding window; windows may overlap."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.window import Window, carry_back_by_plane, window_of
from spyglass_export.gradcam.sizes import scalar, size_of
from spyglass_export.gradcam.step import Step

# Attributes to copy to a MaxPool that also returns the index of each maximum.
_COPIED = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


@rule("MaxPool")
def max_pool(step: Step) -> Mapping[int, Cotangent]:
    """Return each window's gradient at the place of its maximum, the first if several places are equal.

    The rule copies the gradient once for each place of the window, with 0 unless the place is the maximum.
    A transposed convolution then adds the copies up; its kernel for a place is 1 at that place and 0
    elsewhere. (ScatterElements can add only since opset 16.)
    """
    build, window = step.build, window_of(step, step.node.attribute("kernel_shape"))
    places = math.prod(window.kernel)
    numbers = build.integers(np.arange(places).reshape(-1, *[1] * len(window.kernel)))
    chosen = build.add("Equal", unsqueeze(build, _chosen_place(step, window), [2]), numbers)
    gradient = unsqueeze(build, dense(build, step.gradient).name, [2])
    routed = build.add("Where", chosen, gradient, build.floats(0))
    kernel = np.eye(places).reshape(places, 1, *window.kernel)
    return {0: Cotangent(carry_back_by_plane(step, routed, kernel, window), step.shape_of(0))}


def _chosen_place(step: Step, window: Window) -> str:
    """Index of the maximum in each window, counted row by row: int64 [batch, channels, windows…]."""
    build, source = step.build, step.input(0)
    attributes = {name: step.node.attributes[name] for name in _COPIED if name in step.node.attributes}
    position = build.add_many("MaxPool", [source.name], 2, **attributes)[1]
    place = build.integers(0)
    for axis in reversed(range(len(window.kernel))):
        size = scalar(build, size_of(build, source, 2 + axis))
        inside = _place_along(step, window, axis, build.add("Mod", position, size))
        place = build.add(
            "Add", place, build.add("Mul", inside, build.integers(math.prod(window.kernel[axis + 1 :])))
        )
        position = build.add("Div", position, size)
    return place


def _place_along(step: Step, window: Window, axis: int, coordinate: str) -> str:
    """Position in its window of a coordinate of the input, along one spatial axis."""
    build, rank = step.build, len(window.kernel)
    windows = scalar(build, size_of(build, step.gradient.of, 2 + axis))
    number = build.add("Range", build.integers(0), windows, build.integers(1))
    start = build.add("Mul", number, build.integers(window.strides[axis]))
    start = build.add("Sub", start, build.integers(window.before[axis]))
    if following := list(range(1, rank - axis)):
        start = unsqueeze(build, start, following)
    offset = build.add("Sub", coordinate, start)
    return build.add("Div", offset, build.integers(window.dilations[axis]))
