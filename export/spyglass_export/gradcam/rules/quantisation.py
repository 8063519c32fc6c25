"""Quantisers: the rounding of real numbers to integers, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spyglass_export.gradcam.cotangent import Cotangent, keep_where
from spyglass_export.gradcam.quantised_range import highest_of, starts_at_0
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step
from spyglass_export.gradcam.weights import as_float32


@rule("DequantizeLinear")
def dequantise(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient unchanged: gradients are those of the real numbers that integers stand for."""
    return {0: replace(step.gradient, of=step.shape_of(0))}


@rule("QuantizeLinear")
def quantise(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient, unchanged through the rounding (Bengio et al. 2013), 0 where an activation cuts.

    ONNX Runtime's quantiser leaves out a Relu, or a Clip from 0 to 6, whose bounds the range of the integers
    replaces. Any other bound is only the largest number of the calibration images, and the gradient passes
    it.
    """
    gradient = replace(step.gradient, of=step.shape_of(0))
    if not starts_at_0(step.view, step.node):
        return {0: gradient}
    build = step.build
    numbers = step.view.consumers[step.node.outputs[0]]
    kept = next((node.outputs[0] for node in numbers if node.op_type == "DequantizeLinear"), None)
    if kept is None:
        raise step.unsupported("no DequantizeLinear reads its integers")
    # The numbers behind the quantiser: reading those before it would keep ONNX Runtime from computing the
    # previous operator in integers.
    inside = build.add("Greater", as_float32(step.view, build, kept), build.floats(0))
    if (highest := highest_of(step.view, step.node)) is not None:
        below = build.add("Less", as_float32(step.view, build, kept), build.floats(highest))
        inside = build.add("And", inside, below)
    return {0: keep_where(build, Sized(inside, gradient.of.dims), gradient)}
