"""The reverse step of a node on a range of one axis of its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.registry import rule_for
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.slice_origins import origins_of
from spyglass_export.gradcam.sliced import AxisRange, Sliced
from spyglass_export.gradcam.step import Step


@dataclass(frozen=True)
class SlicedStep(Step):
    """A step whose tensors are cut, as if the node had computed only the range of its output.

    `ranges` holds the range of each input, by index; inputs without one are read whole.
    """

    result: AxisRange
    ranges: Mapping[int, AxisRange]

    def input(self, index: int) -> Sized:
        """Return an input as float32, cut to its range."""
        whole = super().input(index)
        return self.ranges[index].cut(self.build, whole) if index in self.ranges else whole

    def output(self, index: int = 0) -> Sized:
        """Return an output as float32, cut to the range."""
        return self.result.cut(self.build, super().output(index))

    def shape_of(self, index: int) -> Sized:
        """Return an input for the dimensions of its range."""
        whole = super().shape_of(index)
        return self.ranges[index].part(whole) if index in self.ranges else whole


def gradients_of_slice(step: Step, gradient: Sliced) -> Mapping[int, Cotangent | Sliced] | None:
    """Return the gradients of a node's inputs from a sliced gradient of its only output.

    The operator's own rule computes them, on slices of the tensors: each index of the output depends on the
    same index of the inputs. None if the operator does not keep the indices of the axis apart.
    """
    ranges = origins_of(step, gradient.within)
    if ranges is None or not set(ranges).intersection(step.required):
        return None
    part = SlicedStep(
        step.node, {0: gradient.part}, step.required, step.view, step.build, gradient.within, ranges
    )
    found = rule_for(step.node)(part)
    return {
        index: Sliced(each, ranges[index], step.shape_of(index)) if index in ranges else each
        for index, each in found.items()
    }
