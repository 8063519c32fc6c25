"""What a caller knows of a class beforehand, brought into the probabilities of the network.

They become those that hold given what is known: where a class cannot be, its share goes to the others in
proportion, and where nothing else can be, its probability is 1. So the mask, its scores and the soft map all
follow from the same numbers, and borders stay as smooth as they were.

A region is connected by its corners too, and then what encloses a hole does so by its corners: the two go
together (Kong and Rosenfeld, Digital topology: introduction and survey, 1989).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import LimitExceeded
from spyglass_contract.geometry import Box
from spyglass_server.domain import Refinement
from spyglass_server.targets import class_index

# Each takes its time on the whole output of the network.
MAX_REFINEMENTS = 32

_WITH_CORNERS = np.ones((3, 3), np.bool_)
# Of a cell: what a box overlaps by less is the rounding of its edges.
_SLIVER = 1e-6


@dataclass(frozen=True)
class KnownClass:
    """A refinement of the class `index`."""

    index: int
    largest_component: bool
    fill_holes: bool


def known_classes(refine: Sequence[Refinement], names: Sequence[str]) -> tuple[KnownClass, ...]:
    """The refinements for a model with classes of these `names`.

    Raises InvalidInput for a class that it does not have, and LimitExceeded for more than MAX_REFINEMENTS.
    """
    if len(refine) > MAX_REFINEMENTS:
        raise LimitExceeded(
            f"{len(refine)} refinements; {MAX_REFINEMENTS} are the most of one request",
            reason="TOO_MANY_REFINEMENTS",
            field="refine",
        )
    return tuple(
        KnownClass(class_index(entry.target, names, "refine."), entry.largest_component, entry.fill_holes)
        for entry in refine
    )


def refined(
    probabilities: NDArray[np.float32], known: Sequence[KnownClass], picture: tuple[slice, slice]
) -> NDArray[np.float32]:
    """float32 [rows, columns, classes] given what is `known`, in its order.

    `picture` are the rows and columns that show the picture, see `cells_of_picture`: what lies beside it is
    no part of any region.
    """
    if not known:
        return probabilities
    result = probabilities.copy()
    inside = result[picture]
    for entry in known:
        if entry.largest_component:
            _keep_largest(inside, entry.index)
        if entry.fill_holes:
            _fill_holes(inside, entry.index)
    return result


def cells_of_picture(box: Box, width: int, height: int, rows: int, columns: int) -> tuple[slice, slice]:
    """The rows and the columns of cells, which cover `box` evenly, that show some of the picture."""
    left, top, right, bottom = box
    return _cells(rows, top, bottom, height), _cells(columns, left, right, width)


def _cells(cells: int, begin: float, end: float, pixels: int) -> slice:
    pace = cells / (end - begin)
    first = math.floor(-begin * pace + _SLIVER)
    stop = math.ceil((pixels - begin) * pace - _SLIVER)
    return slice(max(first, 0), min(stop, cells))


def _keep_largest(probabilities: NDArray[np.float32], index: int) -> None:
    from scipy import ndimage

    own = probabilities.argmax(axis=2) == index
    regions, _ = ndimage.label(own, _WITH_CORNERS)
    sizes = np.bincount(regions.ravel())
    # Number 0 is what is not of the class.
    largest = 1 + sizes[1:].argmax() if len(sizes) > 1 else 0
    _rule_out(probabilities, own & (regions != largest), index)


def _rule_out(probabilities: NDArray[np.float32], where: NDArray[np.bool_], index: int) -> None:
    others = probabilities[where]
    others[:, index] = 0
    total = others.sum(axis=1)
    # Nothing is said of the others: the first of them is as good as any.
    others[total == 0, 0 if index else 1] = 1
    probabilities[where] = others / np.where(total > 0, total, 1)[:, np.newaxis]


def _fill_holes(probabilities: NDArray[np.float32], index: int) -> None:
    from scipy import ndimage

    own = probabilities.argmax(axis=2) == index
    holes = ndimage.binary_fill_holes(own) & ~own
    probabilities[holes] = 0
    probabilities[holes, index] = 1
