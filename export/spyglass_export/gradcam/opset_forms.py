"""Operators whose axes moved from an attribute to an input, written as the model's opset has them."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_export.gradcam.builder import GraphBuilder

# The opset from which each operator takes its axes as an input.
_AXES_AS_INPUT = {
    "Squeeze": 13,
    "Unsqueeze": 13,
    "ReduceSum": 13,
    "ReduceMean": 18,
    "ReduceMax": 18,
}


def squeeze(build: GraphBuilder, tensor: str, axes: Sequence[int]) -> str:
    """Drops axes of size 1."""
    return _with_axes(build, "Squeeze", tensor, axes)


def unsqueeze(build: GraphBuilder, tensor: str, axes: Sequence[int]) -> str:
    """Inserts axes of size 1, counted in the result."""
    return _with_axes(build, "Unsqueeze", tensor, axes)


def reduce(
    build: GraphBuilder, op_type: str, tensor: str, axes: Sequence[int], *, keepdims: bool = True
) -> str:
    """ReduceSum, ReduceMean or ReduceMax over `axes`; no axes leave the tensor as it is."""
    if not axes:
        return tensor
    return _with_axes(build, op_type, tensor, axes, keepdims=int(keepdims))


def _with_axes(build: GraphBuilder, op_type: str, tensor: str, axes: Sequence[int], **attributes: int) -> str:
    if build.opset >= _AXES_AS_INPUT[op_type]:
        return build.add(op_type, tensor, build.integers(list(axes)), **attributes)
    return build.add(op_type, tensor, axes=list(axes), **attributes)
