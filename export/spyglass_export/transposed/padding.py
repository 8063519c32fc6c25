"""The padding of a ConvTranspose node, in every form that ONNX allows.

The forms are read as in ONNX Runtime, core/providers/cpu/nn/conv_transpose_attributes.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spyglass_contract.errors import ModelError
from spyglass_export.gradcam.node import Node
from spyglass_export.transposed.axis import Axis

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def read_axes(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> tuple[Axis, Axis]:
    """Return height and width of a transposed convolution; `sizes` are those of its input.

    Raises ModelError if the node's `auto_pad` is unknown.
    """
    height, width = (_axis(node, axis, kernel[axis], sizes[axis]) for axis in range(2))
    return height, width


def _axis(node: Node, axis: int, kernel: int, size: int) -> Axis:
    stride = node.attribute("strides", [1, 1])[axis]
    output_padding = node.attribute("output_padding", [0, 0])[axis]
    unpadded = Axis(size, kernel, stride, begin=0, end=0, output_padding=output_padding)
    # The attribute may include batch and channels.
    output_shape, auto_pad = node.attribute("output_shape", [])[-2:], node.attribute("auto_pad", "NOTSET")
    if auto_pad not in _AUTO_PADS:
        raise ModelError(f"{node.label}: auto_pad must be one of {', '.join(_AUTO_PADS)}, not {auto_pad}")
    if output_shape:
        return _of_output(unpadded, output_shape[axis], auto_pad)
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        # Even without padding, the output may be smaller than stride · size.
        return _of_output(unpadded, min(stride * size, unpadded.output), auto_pad)
    pads = node.attribute("pads", [0, 0, 0, 0])
    return replace(unpadded, begin=pads[axis], end=pads[axis + 2])


def _of_output(unpadded: Axis, output: int, auto_pad: str) -> Axis:
    """The axis with the padding for an output of size `output`.

    Surplus numbers are cut off at both ends; the odd one at the end for SAME_UPPER, at the beginning
    otherwise. Missing numbers are added at the end.
    """
    total = unpadded.output - output
    if total < 0:
        return replace(unpadded, end=total)
    smaller, larger = total // 2, total - total // 2
    begin, end = (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)
    return replace(unpadded, begin=begin, end=end)
