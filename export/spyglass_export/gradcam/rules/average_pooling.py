"""Average pooling with a sliding window, exact for padding, dilations and ceil_mode."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.window import Window, carry_back_by_plane, window_of
from spyglass_export.gradcam.sizes import size_of, vector
from spyglass_export.gradcam.step import Step


@rule("AveragePool")
def average_pool(step: Step) -> Mapping[int, Cotangent]:
    """Return for each place the sum over its windows of gradient / number of places the window counts."""
    build, window = step.build, window_of(step, step.node.attribute("kernel_shape"))
    ones = np.ones((1, 1, *window.kernel))
    shared = build.add("Div", dense(build, step.gradient).name, _counted(step, window, build.floats(ones)))
    return {0: Cotangent(carry_back_by_plane(step, shared, ones, window), step.shape_of(0))}


def _counted(step: Step, window: Window, ones: str) -> str:
    """Number of places that each window counts, [1, 1, windows…]: with or without the padding."""
    build, source = step.build, step.shape_of(0)
    spatial = [size_of(build, source, axis) for axis in range(2, source.rank)]
    plane = build.add("Expand", build.floats(1), vector(build, [1, 1, *spatial]))
    counts_margins = bool(step.node.attribute("count_include_pad", 0))
    margins = [0, 0, *window.before, 0, 0, *window.after]
    plane = build.add("Pad", plane, build.integers(margins), build.floats(float(counts_margins)))
    return build.add(
        "Conv",
        build.add("Pad", plane, build.integers([*[0] * source.rank, 0, 0, *_beyond(step, window)])),
        ones,
        kernel_shape=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
    )


def _beyond(step: Step, window: Window) -> list[int]:
    """Number of places by which the last window of ceil_mode extends beyond the padding, for each axis."""
    if not step.node.attribute("ceil_mode", 0):
        return [0] * len(window.kernel)
    source, result = step.shape_of(0).dims[2:], step.gradient.of.dims[2:]
    reaches = []
    for axis, (size, windows) in enumerate(zip(source, result, strict=True)):
        if size is None or windows is None:
            raise step.unsupported("its ceil_mode depends on a size that is known only at run time")
        covered = (windows - 1) * window.strides[axis] + window.extent[axis]
        reaches.append(max(covered - size - window.before[axis] - window.after[axis], 0))
    return reaches
