"""Nodes that compute a transposed convolution phase by phase, and nodes that join the phases."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.transposed.reading import Transposed
from spyglass_export.transposed.taps import pads, picked

_TO_THE_END = np.iinfo(np.int64).max


def add_phases(build: GraphBuilder, layer: Transposed) -> list[str]:
    """Add the phases of `layer`, each float32 [batch, channels, height, width], row by row."""
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
    """Add nodes that interleave the phases, float32 [batch, channels, height, width].

    If `phases` is a single tensor, it already holds the channels of all phases, phase by phase. The result
    equals that of DepthToSpace in mode DCR, but several times as fast: with the channels last, the numbers
    of one place in a row of phases are neighbours and move together. ONNX Runtime does the two transposes of
    the channels together with its own change of layout for convolutions.
    """
    stacked = phases[0] if len(phases) == 1 else build.add("Concat", *phases, axis=1)
    stride = layer.stride
    if stride == 1:
        return stacked
    height, width = (axis.places for axis in layer.axes)
    last = build.add("Transpose", stacked, perm=[0, 2, 3, 1])
    # 0 keeps the batch; -1 is the rest: the channels of a row of phases, and then those of one phase.
    split = build.add("Reshape", last, build.integers([0, height, width, stride, -1]))
    in_rows = build.add("Transpose", split, perm=[0, 1, 3, 2, 4])
    whole = build.add("Reshape", in_rows, build.integers([0, stride * height, stride * width, -1]))
    return build.add("Transpose", _cut(build, whole, layer), perm=[0, 3, 1, 2])


def _cut(build: GraphBuilder, name: str, layer: Transposed) -> str:
    """A feature map [batch, height, width, channels] without its surplus rows and columns."""
    if not any(axis.cut for axis in layer.axes):
        return name
    ends = [-axis.cut if axis.cut else _TO_THE_END for axis in layer.axes]
    return build.add("Slice", name, *(build.integers(each) for each in ([0, 0], ends, [1, 2])))
