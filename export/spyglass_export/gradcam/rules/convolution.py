"""Convolution: its gradient is the transposed convolution with the same weight."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.window import Window, carry_back, window_of
from spyglass_export.gradcam.step import Step


@rule("Conv")
def convolution(step: Step) -> Mapping[int, Cotangent]:
    """Return the transposed convolution; for a kernel of one place the gradient stays spread over space."""
    weight, window = step.input(1), _window(step)
    spread = step.gradient.spread - {0, 1} if window.is_pointwise() else frozenset()
    gradient = dense(step.build, step.gradient, step.gradient.spread - spread)
    groups = step.node.attribute("group", 1)
    name = carry_back(step, gradient.name, weight.name, window, groups=groups)
    return {0: Cotangent(name, step.shape_of(0), spread)}


def _window(step: Step) -> Window:
    kernel = step.node.attribute("kernel_shape") or step.shape_of(1).dims[2:]
    known = [size for size in kernel if size is not None]
    if len(known) < len(kernel):
        raise step.unsupported("the size of its kernel is known only at run time")
    return window_of(step, known)
