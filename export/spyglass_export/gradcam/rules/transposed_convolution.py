"""Transposed convolution: its gradient is the convolution with the same weight."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.step import Step


@rule("ConvTranspose")
def transposed_convolution(step: Step) -> Mapping[int, Cotangent]:
    """Return the convolution of the gradient with the weight."""
    automatic = step.node.attribute("auto_pad", "NOTSET")
    if automatic not in ("NOTSET", "VALID") or step.node.attribute("output_shape"):
        raise step.unsupported("its padding must be stated by pads, not by auto_pad or output_shape")
    attributes = {
        name: step.node.attributes[name]
        for name in ("dilations", "group", "kernel_shape", "pads", "strides")
        if name in step.node.attributes
    }
    gradient = dense(step.build, step.gradient).name
    name = step.build.add("Conv", gradient, step.input(1).name, **attributes)
    return {0: Cotangent(name, step.shape_of(0))}
