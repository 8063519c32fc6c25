"""Operators whose axes changed from an attribute to an input, in the form of the model's opset."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_export.gradcam.builder import GraphBuilder

# First opset in which each operator takes its axes as an input.
_AXES_AS_INPUT = {
    "Squeeze": 13,
    "Unsqueeze": 13,
    "ReduceSum": 13,
    "ReduceMean": 18,
    "ReduceMax": 18,
    "ReduceProd": 18,
    "ReduceL1": 18,
}


def squeeze(build: GraphBuilder, tensor: str, axes: Sequence[int]) -> str:
    """Add a node that drops axes of size 1."""
    return _with_axes(build, "Squeeze", tensor, axes)


def unsqueeze(build: GraphBuilder, tensor: str, axes: Sequence[int]) -> str:
    """Add a node that inserts axes of size 1; `axes` count in the result."""
    return _with_axes(build, "Unsqueeze", tensor, axes)


def reduce(
    build: GraphBuilder, op_type: str, tensor: str, axes: Sequence[int], *, keepdims: bool = True
) -> str:
    """Add a reduction, such as ReduceSum or ReduceL1, over `axes`; without axes return the tensor itself."""
    if not axes:
        return tensor
    return _with_axes(build, op_type, tensor, axes, keepdims=int(keepdims))


def _with_axes(build: GraphBuilder, op_type: str, tensor: str, axes: Sequence[int], **attributes: int) -> str:
    if build.opset >= _AXES_AS_INPUT[op_type]:
        return build.add(op_type, tensor, build.integers(list(axes)), **attributes)
    return build.add(op_type, tensor, axes=list(axes), **attributes)
