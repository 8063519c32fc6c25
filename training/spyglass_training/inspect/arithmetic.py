"""Costs and receptive fields of layers: the arithmetic of convolutional networks.

Receptive fields by the recurrence of A. Araujo et al., Computing Receptive Fields of Convolutional Neural
Networks, Distill (2019): with kernel k, stride s and dilation d, a field of r, whose neighbour lies at
distance j, becomes r + (k - 1) d j, and its neighbour lies at distance j s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Reach:
    """The receptive field along one side of the image, in pixels of the network's input."""

    field: float
    # Distance from a value's field to that of its neighbour.
    step: float

    def slide(self, kernel: int, stride: int, dilation: int = 1) -> Reach:
        """Return the reach after a convolution or a pooling."""
        return Reach(self.field + (kernel - 1) * dilation * self.step, self.step * stride)

    def spread(self, kernel: int, stride: int) -> Reach:
        """Return the reach after a transposed convolution.

        Each of its outputs is a sum over kernel / stride inputs.
        """
        return Reach(self.field + (math.ceil(kernel / stride) - 1) * self.step, self.step / stride)


@dataclass(frozen=True)
class ReceptiveField:
    """The part of the image that a value depends on, down and across."""

    down: Reach
    across: Reach

    def slide(
        self, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int] = (1, 1)
    ) -> ReceptiveField:
        """Return the field after a convolution or a pooling."""
        return ReceptiveField(
            self.down.slide(kernel[0], stride[0], dilation[0]),
            self.across.slide(kernel[1], stride[1], dilation[1]),
        )

    def spread(self, kernel: tuple[int, int], stride: tuple[int, int]) -> ReceptiveField:
        """Return the field after a transposed convolution."""
        return ReceptiveField(
            self.down.spread(kernel[0], stride[0]), self.across.spread(kernel[1], stride[1])
        )

    def __str__(self) -> str:
        if math.isinf(self.down.field):
            return "all"
        return f"{self.down.field:g}×{self.across.field:g}"


PIXEL = ReceptiveField(Reach(1, 1), Reach(1, 1))
# The field of a layer that mixes all positions, such as a dense layer.
EVERYTHING = ReceptiveField(Reach(math.inf, math.inf), Reach(math.inf, math.inf))


def joined(fields: Iterable[ReceptiveField]) -> ReceptiveField:
    """Return the field after a layer that joins branches: the widest of them on each side."""
    members = list(fields)
    return ReceptiveField(
        *(
            Reach(max(each.field for each in reaches), max(each.step for each in reaches))
            for reaches in ([each.down for each in members], [each.across for each in members])
        )
    )


@dataclass(frozen=True)
class Row:
    """A layer in the table of `inspect summary`."""

    name: str
    kind: str
    # Shape without the batch.
    shape: tuple[int | None, ...]
    parameters: int
    # Multiply-adds for one image; None if the shape is not fixed.
    multiply_adds: int | None
    receptive_field: ReceptiveField
