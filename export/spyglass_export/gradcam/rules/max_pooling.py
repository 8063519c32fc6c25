"""Max pooling with a sliding window, also where windows overlap."""

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

# What a node of one output must have in common with the one that also tells where the largest was.
_COPIED = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")


@rule("MaxPool")
def max_pool(step: Step) -> Mapping[int, Cotangent]:
    """Each window's gradient, for the place in it that was the largest; the first of several that are.

    The gradient is laid out once for each place of the window, 0 but for the place that was chosen. A
    transposed convolution whose kernel for a place is 1 there and 0 elsewhere puts all in order and adds
    up what windows share. (ScatterElements adds up only from opset 16 on.)
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
    """Which place of each window was the largest, counted row by row: int64 [batch, channels, windows…]."""
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
    """Where in its window a coordinate of the input lies, along one spatial axis."""
    build, rank = step.build, len(window.kernel)
    windows = scalar(build, size_of(build, step.gradient.of, 2 + axis))
    number = build.add("Range", build.integers(0), windows, build.integers(1))
    start = build.add("Mul", number, build.integers(window.strides[axis]))
    start = build.add("Sub", start, build.integers(window.before[axis]))
    if following := list(range(1, rank - axis)):
        start = unsqueeze(build, start, following)
    offset = build.add("Sub", coordinate, start)
    return build.add("Div", offset, build.integers(window.dilations[axis]))
