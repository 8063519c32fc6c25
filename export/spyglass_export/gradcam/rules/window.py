"""Sliding windows, and the transposed convolution that computes gradients through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from spyglass_export.gradcam.sizes import Sized, reshape, rows_like, size_of, vector
from spyglass_export.gradcam.step import Step


@dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or pooling, one number for each spatial axis.

    `before` and `after` are the padding of the input.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """Size of a window along each axis, including the gaps of the dilation."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def is_pointwise(self) -> bool:
        """Return whether each output reads exactly one place of the input, and each place is read once."""
        ones = (1,) * len(self.kernel)
        return self.kernel == self.strides == ones and not any(self.before + self.after)


def window_of(step: Step, kernel: Sequence[int]) -> Window:
    """Return the window of a Conv, MaxPool or AveragePool node. Raises UnsupportedHead."""
    axes = len(kernel)
    strides = tuple(step.node.attribute("strides", [1] * axes))
    dilations = tuple(step.node.attribute("dilations", [1] * axes))
    bare = Window(tuple(kernel), strides, dilations, (0,) * axes, (0,) * axes)
    before, after = _margins(step, bare)
    return Window(bare.kernel, strides, dilations, before, after)


def _margins(step: Step, window: Window) -> tuple[tuple[int, ...], tuple[int, ...]]:
    automatic, axes = step.node.attribute("auto_pad", "NOTSET"), len(window.kernel)
    if automatic == "VALID":
        return window.before, window.after
    if automatic == "NOTSET":
        pads = step.node.attribute("pads", [0] * 2 * axes)
        return tuple(pads[:axes]), tuple(pads[axes:])
    if automatic not in ("SAME_LOWER", "SAME_UPPER"):
        raise step.unsupported(
            f"its auto_pad must be NOTSET, VALID, SAME_LOWER or SAME_UPPER, not {automatic}"
        )
    totals = [_same_margin(step, window, axis) for axis in range(axes)]
    smaller = tuple(margin // 2 for margin in totals)
    larger = tuple(margin - half for margin, half in zip(totals, smaller, strict=True))
    return (larger, smaller) if automatic == "SAME_LOWER" else (smaller, larger)


def _same_margin(step: Step, window: Window, axis: int) -> int:
    size = step.shape_of(0).dims[2 + axis]
    if size is None:
        raise step.unsupported("its auto_pad depends on a size that is known only at run time")
    windows = -(-size // window.strides[axis])
    return max((windows - 1) * window.strides[axis] + window.extent[axis] - size, 0)


def carry_back(step: Step, gradient: str, weight: str, window: Window, *, groups: int = 1) -> str:
    """Return the gradient of the node's input: each window's gradient times the weight, summed.

    `gradient` is [n, in, windows…] and `weight` [in, out/groups, kernel…]; the result has the height and
    width of the node's input. A transposed convolution is the adjoint of the convolution, so the weight of
    the convolution is used unchanged.
    """
    source, result = step.shape_of(0), step.gradient.of
    if None in source.dims[2:] + result.dims[2:] and set(window.strides) != {1}:
        return _cropped(step, _transposed(step, gradient, weight, window, groups, _longest(window)), source)
    return _transposed(step, gradient, weight, window, groups, _missing(source, result, window))


def carry_back_by_plane(step: Step, gradient: str, kernel: npt.NDArray[Any], window: Window) -> str:
    """Return the gradient of a pooling's input. A pooling treats each channel of each image separately.

    `gradient` is [rows, channels, places…, windows…] and `kernel` [places, 1, kernel…]; the result has
    the shape of the node's input, with rows as its batch.
    """
    build, result = step.build, step.gradient.of
    windows = [size_of(build, result, axis) for axis in range(2, result.rank)]
    planes = reshape(build, gradient, [-1, len(kernel), *windows])
    carried = carry_back(step, planes, build.floats(kernel), window)
    return reshape(build, carried, rows_like(build, step.shape_of(0)))


def _longest(window: Window) -> list[int]:
    return [stride - 1 for stride in window.strides]


def _missing(source: Sized, result: Sized, window: Window) -> list[int]:
    """Number of places after the last window; negative if that window extends beyond the padding."""
    missing = []
    for axis, stride in enumerate(window.strides):
        size, windows = source.dims[2 + axis], result.dims[2 + axis]
        covered = 0 if windows is None else (windows - 1) * stride + window.extent[axis]
        margins = window.before[axis] + window.after[axis]
        missing.append(0 if size is None or windows is None else size - (covered - margins))
    return missing


def _transposed(
    step: Step, gradient: str, weight: str, window: Window, groups: int, missing: Sequence[int]
) -> str:
    after = [margin - min(short, 0) for margin, short in zip(window.after, missing, strict=True)]
    return step.build.add(
        "ConvTranspose",
        gradient,
        weight,
        kernel_shape=window.kernel,
        strides=window.strides,
        dilations=window.dilations,
        pads=[*window.before, *after],
        output_padding=[max(short, 0) for short in missing],
        group=groups,
    )


def _cropped(step: Step, name: str, source: Sized) -> str:
    axes = list(range(2, source.rank))
    ends = vector(step.build, [size_of(step.build, source, axis) for axis in axes])
    integers = step.build.integers
    return step.build.add("Slice", name, integers([0] * len(axes)), ends, integers(axes))
