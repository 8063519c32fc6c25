"""What layers cost, and how much of the image they see: the arithmetic of convolutional networks.

Receptive fields by the recurrence of A. Araujo et al., Computing Receptive Fields of Convolutional Neural
Networks, Distill (2019): with kernel k, stride s, dilation d a field of r, whose neighbour lies j further on,
becomes r + (k - 1) d j, with the neighbour at j s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """How far a value sees along one side of the image, in pixels of the network's input."""

    field: float
    # From a value's field to that of its neighbour.
    step: float

    def slide(self, kernel: int, stride: int, dilation: int = 1) -> Reach:
        """Behind a convolution or a pooling."""
        return Reach(self.field + (kernel - 1) * dilation * self.step, self.step * stride)

    def spread(self, kernel: int, stride: int) -> Reach:
        """Behind a transposed convolution, each of whose outputs sums up kernel / stride inputs."""
        return Reach(self.field + (math.ceil(kernel / stride) - 1) * self.step, self.step / stride)


@dataclass(frozen=True)
class ReceptiveField:
    """How much of the image a value sees, down and across."""

    down: Reach
    across: Reach

    def slide(
        self, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> ReceptiveField:
        """Behind a convolution or a pooling."""
        return ReceptiveField(
            self.down.slide(kernel[0], stride[0], dilation[0]),
            self.across.slide(kernel[1], stride[1], dilation[1]),
        )

    def spread(self, kernel: tuple[int, int], stride: tuple[int, int]) -> ReceptiveField:
        """Behind a transposed convolution."""
        return ReceptiveField(
            self.down.spread(kernel[0], stride[0]), self.across.spread(kernel[1], stride[1])
        )

    def __str__(self) -> str:
        if math.isinf(self.down.field):
            return "all"
        return f"{self.down.field:g}×{self.across.field:g}"


PIXEL = ReceptiveField(Reach(1, 1), Reach(1, 1))
# Where places are mixed for good, as in a dense layer.
EVERYTHING = ReceptiveField(Reach(math.inf, math.inf), Reach(math.inf, math.inf))


def joined(fields: Iterable[ReceptiveField]) -> ReceptiveField:
    """Where branches meet: the widest of them on each side."""
    members = list(fields)
    return ReceptiveField(
        *(
            Reach(max(each.field for each in reaches), max(each.step for each in reaches))
            for reaches in ([each.down for each in members], [each.across for each in members])
        )
    )


@dataclass(frozen=True)
class Row:
    """A layer in the table."""

    name: str
    kind: str
    # Without the batch.
    shape: tuple[int | None, ...]
    parameters: int
    # Of one image; None where the shape is not fixed.
    multiply_adds: int | None
    receptive_field: ReceptiveField
