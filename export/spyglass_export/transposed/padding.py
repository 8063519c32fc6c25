"""How a ConvTranspose node pads, in all the ways to say so.

As ONNX Runtime reads them, core/providers/cpu/nn/conv_transpose_attributes.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spyglass_export.gradcam.node import Node
from spyglass_export.transposed.axis import Axis


def read_axes(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> tuple[Axis, Axis]:
    """Height and width of a transposed convolution; `sizes` are those of its input."""
    height, width = (_axis(node, axis, kernel[axis], sizes[axis]) for axis in range(2))
    return height, width


def _axis(node: Node, axis: int, kernel: int, size: int) -> Axis:
    stride = node.attribute("strides", [1, 1])[axis]
    output_padding = node.attribute("output_padding", [0, 0])[axis]
    unpadded = Axis(size, kernel, stride, begin=0, end=0, output_padding=output_padding)
    # It may name batch and channels too.
    output_shape, auto_pad = node.attribute("output_shape", [])[-2:], node.attribute("auto_pad", "NOTSET")
    if output_shape:
        return _of_output(unpadded, output_shape[axis], auto_pad)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        # Fewer where even without padding there are fewer.
        return _of_output(unpadded, min(stride * size, unpadded.output), auto_pad)
    pads = node.attribute("pads", [0, 0, 0, 0])
    return replace(unpadded, begin=pads[axis], end=pads[axis + 2])


def _of_output(unpadded: Axis, output: int, auto_pad: str) -> Axis:
    """The axis padded so that it makes so many numbers.

    What is too much is cut off at both ends, the odd one at the end for SAME_UPPER and at the beginning
    otherwise. What is too little is added at the end.
    """
    total = unpadded.output - output
    if total < 0:
        return replace(unpadded, end=total)
    smaller, larger = total // 2, total - total // 2
    begin, end = (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)
    return replace(unpadded, begin=begin, end=end)
