"""A convolution to a few channels after a transposed one, computed before the phases are joined.

Joining moves every number of a large feature map, but moving a few class scores takes almost no time. In
ONNX Runtime 16 channels cost as much as three, so all phases of the scores cost as much as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.node import Node
from spyglass_export.transposed.choice import LANES
from spyglass_export.transposed.reading import Transposed, Weights, bias_of
from spyglass_export.transposed.taps import Taps, pads, picked, taps


@dataclass(frozen=True, eq=False)
class Head:
    """A convolution of stride 1 that keeps height and width.

    `weight` is float32 [channels out, channels in, height, width], `bias` float32 [channels out]; `begin`
    is the padding above and to the left.
    """

    output: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    begin: tuple[int, int]


def read_head(node: Node, weights: Weights, layer: Transposed) -> Head | None:
    """Return `node`, which reads the output of `layer`, as a head of few channels; None if it is not one."""
    weight = weights.get(node.input(1))
    if node.op_type != "Conv" or weight is None or layer.stride == 1 or any(axis.cut for axis in layer.axes):
        return None
    bias, padding = bias_of(weights, node, len(weight)), node.attribute("pads", [0, 0, 0, 0])
    same = all(padding[axis] + padding[2 + axis] == weight.shape[2 + axis] - 1 for axis in range(2))
    if bias is None or not _is_plain(node) or not same or layer.stride**2 * len(weight) > LANES:
        return None
    return Head(node.outputs[0], weight, bias, (padding[0], padding[1]))


def _is_plain(node: Node) -> bool:
    steps = {*node.attribute("strides", [1]), *node.attribute("dilations", [1])}
    return steps == {1} and node.attribute("group", 1) == 1 and node.attribute("auto_pad") in (None, "NOTSET")


def add_head(build: GraphBuilder, head: Head, phases: Sequence[str], stride: int) -> str:
    """Add nodes from the phases of the head's input to all phases of its output, stacked.

    The result is float32 [batch, stride · stride · channels, height, width].
    """
    total, bias = "", [build.floats(np.tile(head.bias, stride * stride))]
    for number, phase in enumerate(phases):
        rows, columns = (
            _meetings(head, axis, stride, place) for axis, place in enumerate(divmod(number, stride))
        )
        weight = np.concatenate([picked(head.weight, *each) for each in itertools.product(rows, columns)])
        part = build.add("Conv", phase, build.floats(weight), *bias, pads=pads(rows[0], columns[0]))
        total, bias = build.add("Add", part, total) if total else part, []
    return total


def _meetings(head: Head, axis: int, stride: int, phase: int) -> list[Taps]:
    """The convolutions along an axis from a phase of the input to each phase of the output, of equal padding.

    Output o uses input o + k - begin times weight k. For o = stride · m + number and the input
    stride · (m + offset) + phase, that is k = stride · offset + phase - number + begin.
    """
    size, aligned = head.weight.shape[2 + axis], phase + head.begin[axis]
    # From the first weight of the output's phase 0 to the last weight of its last phase.
    first, last = -(aligned // stride), (size - 1 - aligned + stride - 1) // stride
    offsets = range(first, last + 1)
    return [
        taps((stride * offset + aligned - number for offset in offsets), size, begin=-first, end=last)
        for number in range(stride)
    ]
