"""Normalisation of each number by those of neighbouring channels, as in AlexNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import reshape, rows_like
from spyglass_export.gradcam.step import Step


@rule("LRN")
def local_response_normalization(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = x·d^-β with d = bias + α/n·Σx² over n channels: g·d^-β - 2αβ/n·x·Σ g·x·d^(-β-1).

    The last sum is over the channels whose neighbours include this one.
    """
    build, source, attribute = step.build, step.input(0), step.node.attribute
    size, beta = attribute("size"), attribute("beta", 0.75)
    share = attribute("alpha", 1e-4) / size
    channels = step.known_size(source, 1)
    near = _neighbours(channels, size)
    folded = [-1, channels, _places(step)]
    x = reshape(build, source.name, folded)
    gradient = reshape(build, dense(build, step.gradient).name, folded)
    squares = build.add("MatMul", build.floats(near * share), build.add("Mul", x, x))
    d = build.add("Add", squares, build.floats(attribute("bias", 1.0)))
    own = build.add("Mul", gradient, build.add("Pow", d, build.floats(-beta)))
    sent = build.add("Div", build.add("Mul", own, x), d)
    of_others = build.add("MatMul", build.floats(near.T * (2 * share * beta)), sent)
    name = build.add("Sub", own, build.add("Mul", x, of_others))
    return {0: Cotangent(reshape(build, name, rows_like(build, source)), source)}


def _neighbours(channels: int, size: int) -> npt.NDArray[Any]:
    """1 where the second channel is one of the `size` neighbours of the first."""
    distance = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    return ((distance >= -((size - 1) // 2)) & (distance <= size // 2)).astype(np.float32)


def _places(step: Step) -> int:
    number = 1
    for axis in range(2, step.input(0).rank):
        number *= step.known_size(step.input(0), axis)
    return number
