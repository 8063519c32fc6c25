"""What a caller knows of a class beforehand, brought into the probabilities of the network.

They become those that hold given what is known: where a class cannot be, its share goes to the others in
proportion, and where nothing else can be, its probability is 1. So the mask, its scores and the soft map all
follow from the same numbers, and borders stay as smooth as they were.

A region is connected by the edges of its cells: where two cells touch at a corner alone, interpolation parts
them. What encloses a hole may touch at its corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import LimitExceeded
from spyglass_server.domain import Refinement
from spyglass_server.engine.targets import class_index

# Each takes its time on the whole output of the network.
MAX_REFINEMENTS = 32

_Cell = TypeVar("_Cell", bound=np.generic)

# What comes close to a share counts as the share itself: there rounding would decide.
_LESS = 0.99


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


def refined(probabilities: NDArray[np.float32], known: Sequence[KnownClass]) -> NDArray[np.float32]:
    """float32 [rows, columns, classes] given what is `known`, in its order."""
    if not known:
        return probabilities
    result = probabilities.copy()
    for entry in known:
        if entry.largest_component:
            _keep_largest(result, entry.index)
        if entry.fill_holes:
            _fill_holes(result, entry.index)
    return result


def _keep_largest(probabilities: NDArray[np.float32], index: int) -> None:
    from scipy import ndimage

    own = probabilities.argmax(axis=2) == index
    regions, count = ndimage.label(own)
    if not count:
        return
    # Number 0 is what is not of the class.
    largest = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
    _rule_out(probabilities, own & ~largest, index)
    _hold_down(probabilities, largest, index)


def _hold_down(probabilities: NDArray[np.float32], region: NDArray[np.bool_], index: int) -> None:
    """Keeps the class from coming first between cells of which it is the second in all, away from `region`.

    Between four cells some class has, of what their best classes have in all, a share of one in as many as
    are different; where the class has less than that of each cell's best, it cannot come before it.
    """
    best = probabilities.argmax(axis=2)
    around = np.stack(_corners(best))
    contested = (around != around[0]).any(axis=0) & ~np.any(_corners(region), axis=0)
    cells = _touched(contested) & ~region
    held = probabilities[cells]
    others = held.copy()
    others[:, index] = 0
    ways = min(len(around), probabilities.shape[2] - 1)
    held[:, index] = np.minimum(held[:, index], _LESS * others.max(axis=1) / ways)
    probabilities[cells] = held / held.sum(axis=1, keepdims=True)


def _corners(cells: NDArray[_Cell]) -> list[NDArray[_Cell]]:
    """Of the squares between the cells, each by its first cell: the four cells that it lies between."""
    padded = np.pad(cells, ((0, 1), (0, 1)), "edge")
    return [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]


def _touched(squares: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells at the corners of such squares."""
    padded = np.pad(squares, ((1, 0), (1, 0)))
    touched: NDArray[np.bool_] = padded[1:, 1:] | padded[1:, :-1] | padded[:-1, 1:] | padded[:-1, :-1]
    return touched


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
