"""What the trace knows about one tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from spyglass_export.gradcam.places.grid import Numbers
from spyglass_export.gradcam.places.located import Located, Shape, mixed, nowhere


@dataclass(frozen=True)
class Traced:
    """The places of a tensor's numbers, and the value of a small tensor that does not depend on the image.

    In a matrix of attention each number compares two places. Then `places` holds the first and `others` the
    second; such a tensor is no map. In a softmax over places each number is the share of its place among all:
    `others` is a mixture. `others` is None for all other tensors.
    """

    places: Located
    others: Located | None = None
    value: npt.NDArray[Any] | None = None

    @property
    def shape(self) -> Shape:
        """The shape of the tensor in the trace."""
        return self.places.shape

    def moved(self, move: Callable[[Numbers], Numbers]) -> Traced:
        """Return the tensor after an operator that only moves numbers; its value is left out."""
        return Traced(self.places.moved(move), None if self.others is None else self.others.moved(move))


def traced_mixed(shape: Shape) -> Traced:
    """Return a tensor whose numbers each mix several places."""
    return Traced(mixed(shape))


def traced_nowhere(shape: Shape, value: npt.NDArray[Any] | None = None) -> Traced:
    """Return a tensor whose numbers belong to no place: a constant or a weight."""
    return Traced(nowhere(shape), value=value)
