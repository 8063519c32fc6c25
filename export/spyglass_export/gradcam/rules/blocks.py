"""Operators that exchange blocks of places for channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import reshape, rows_like
from spyglass_export.gradcam.step import Step


@rule("DepthToSpace")
def depth_to_space(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient with each block of places as channels again."""
    side = step.node.attribute("blocksize")
    _, channels, height, width = (step.known_size(step.shape_of(0), axis) if axis else 0 for axis in range(4))
    split = [channels // side**2, height, side, width, side]
    by_channel = step.node.attribute("mode", "DCR") == "CRD"
    return _moved(step, split, [0, 1, 3, 5, 2, 4] if by_channel else [0, 3, 5, 1, 2, 4])


@rule("SpaceToDepth")
def space_to_depth(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient with the channels of each block as places again."""
    side = step.node.attribute("blocksize")
    _, channels, height, width = (step.known_size(step.shape_of(0), axis) if axis else 0 for axis in range(4))
    return _moved(step, [side, side, channels, height // side, width // side], [0, 3, 4, 1, 5, 2])


def _moved(step: Step, split: Sequence[int], perm: Sequence[int]) -> Mapping[int, Cotangent]:
    """The gradient reshaped to [rows, *split], with its axes in the order `perm`, in the input's shape."""
    build, source = step.build, step.shape_of(0)
    folded = reshape(build, dense(build, step.gradient).name, [-1, *split])
    moved = build.add("Transpose", folded, perm=list(perm))
    return {0: Cotangent(reshape(build, moved, rows_like(build, source)), source)}
