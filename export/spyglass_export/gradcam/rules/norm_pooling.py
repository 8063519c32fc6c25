"""Poolings that return the p-norm of each window."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.window import carry_back_by_plane, window_of
from spyglass_export.gradcam.step import Step


@rule("GlobalLpPool", "LpPool")
def norm_pool(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = (Σ|x|^p)^(1/p): sign(x)·(|x|/y)^(p-1), and 0 where y is 0.

    Each place gets the sum over its windows of g/y^(p-1), times sign(x)·|x|^(p-1).
    """
    build, x, y = step.build, step.input(0).name, step.output().name
    lower = build.floats(step.node.attribute("p", 2) - 1)
    share = build.add("Div", dense(build, step.gradient).name, build.add("Pow", y, lower))
    share = build.add("Where", build.add("Greater", y, build.floats(0)), share, build.floats(0))
    if step.node.op_type == "LpPool":
        window = window_of(step, step.node.attribute("kernel_shape"))
        share = carry_back_by_plane(step, share, np.ones((1, 1, *window.kernel)), window)
    slope = build.add("Mul", build.add("Sign", x), build.add("Pow", build.add("Abs", x), lower))
    return {0: Cotangent(build.add("Mul", share, slope), step.input(0))}
