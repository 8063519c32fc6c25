"""The nodes that compute a transposed convolution phase by phase, and those that join the phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.transposed.reading import Transposed
from spyglass_export.transposed.taps import pads, picked

_TO_THE_END = np.iinfo(np.int64).max


def add_phases(build: GraphBuilder, layer: Transposed) -> list[str]:
    """The phases of `layer`, float32 [batch, channels, height, width] each, those of a row in turn."""
    height, width = layer.axes
    weight = layer.weight.swapaxes(0, 1)
    bias = [build.floats(layer.bias)] if layer.bias.any() else []
    return [
        build.add(
            "Conv", layer.input, build.floats(picked(weight, rows, columns)), *bias, pads=pads(rows, columns)
        )
        for rows in height.phases
        for columns in width.phases
    ]


def join_phases(build: GraphBuilder, phases: Sequence[str], layer: Transposed) -> str:
    """The numbers of all phases in their places, float32 [batch, channels, height, width].

    A single tensor has the channels of all phases already, those of a phase side by side. It is what
    DepthToSpace in mode DCR does, by other means: with the channels last, the numbers of one place in a row
    of phases are neighbours, and are moved together, several times as fast; and ONNX Runtime brings the
    channels there and back while it leaves and enters its own layout for convolutions.
    """
    stacked = phases[0] if len(phases) == 1 else build.add("Concat", *phases, axis=1)
    stride = layer.stride
    if stride == 1:
        return stacked
    height, width = (axis.places for axis in layer.axes)
    last = build.add("Transpose", stacked, perm=[0, 2, 3, 1])
    # 0 keeps the batch, -1 is what is left: the channels of a row of phases, and then of one.
    split = build.add("Reshape", last, build.integers([0, height, width, stride, -1]))
    in_rows = build.add("Transpose", split, perm=[0, 1, 3, 2, 4])
    whole = build.add("Reshape", in_rows, build.integers([0, stride * height, stride * width, -1]))
    return build.add("Transpose", _cut(build, whole, layer), perm=[0, 3, 1, 2])


def _cut(build: GraphBuilder, name: str, layer: Transposed) -> str:
    """A feature map [batch, height, width, channels] without the rows and columns that it has too many."""
    if not any(axis.cut for axis in layer.axes):
        return name
    ends = [-axis.cut if axis.cut else _TO_THE_END for axis in layer.axes]
    return build.add("Slice", name, *(build.integers(each) for each in ([0, 0], ends, [1, 2])))
