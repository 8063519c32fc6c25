"""Refinements: a caller's knowledge of a class, applied to the probabilities of the network.

The result is the conditional probabilities. In a cell that cannot be of a class, its probability goes to the
other classes in proportion; in a cell that can be of one class only, that class gets probability 1. So the
mask, its scores and the probability map follow from the same numbers, and borders stay smooth.

Cells of a region are connected by their edges: interpolation separates two cells that touch at a corner only.
The cells that enclose a hole may touch at corners.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.segment_pb2 import Refinement
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_server.engine.classes import class_index, named_class

# Each one processes the whole output of the network.
MAX_REFINEMENTS = 32

_Cell = TypeVar("_Cell", bound=np.generic)

# A probability this close to the limit counts as equal to it: rounding would decide.
_BELOW_LIMIT = 0.99


@dataclass(frozen=True)
class KnownClass:
    """A refinement of the class `index`."""

    index: int
    largest_component: bool
    fill_holes: bool


def known_classes(refine: Sequence[Refinement], names: Sequence[str]) -> tuple[KnownClass, ...]:
    """Return the refinements of a request to a model with classes of these `names`.

    Raises InvalidInput for a refinement without a class or with one that the model does not have, and
    LimitExceeded for more than MAX_REFINEMENTS.
    """
    if len(refine) > MAX_REFINEMENTS:
        raise LimitExceeded(
            f"the request has {len(refine)} refinements; it may have {MAX_REFINEMENTS}",
            reason="TOO_MANY_REFINEMENTS",
            field="refine",
        )
    return tuple(_known_class(entry, names) for entry in refine)


def _known_class(entry: Refinement, names: Sequence[str]) -> KnownClass:
    target = named_class(entry, "target")
    if target is None:
        raise InvalidInput("a refinement names no class", reason="CLASS_MISSING", field="refine")
    return KnownClass(class_index(target, names, "refine."), entry.largest_component, entry.fill_holes)


def refined(probabilities: NDArray[np.float32], known: Sequence[KnownClass]) -> NDArray[np.float32]:
    """Return float32 [rows, columns, classes] with the refinements applied in their order."""
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
    # Region 0 is the cells of other classes.
    largest = regions == 1 + np.bincount(regions.ravel())[1:].argmax()
    _rule_out(probabilities, own & ~largest, index)
    _hold_down(probabilities, largest, index)


def _hold_down(probabilities: NDArray[np.float32], region: NDArray[np.bool_], index: int) -> None:
    """Keep the class from winning between cells outside `region` in none of which it is the best.

    Between four cells with n different best classes, one of these has at least 1/n of the sum of their best
    probabilities. If the class has less than 1/n of each cell's best probability, it cannot win there.
    """
    best = probabilities.argmax(axis=2)
    around = np.stack(_corners(best))
    contested = (around != around[0]).any(axis=0) & ~np.any(_corners(region), axis=0)
    cells = _touched(contested) & ~region
    held = probabilities[cells]
    others = held.copy()
    others[:, index] = 0
    ways = min(len(around), probabilities.shape[2] - 1)
    held[:, index] = np.minimum(held[:, index], _BELOW_LIMIT * others.max(axis=1) / ways)
    probabilities[cells] = held / held.sum(axis=1, keepdims=True)


def _corners(cells: NDArray[_Cell]) -> list[NDArray[_Cell]]:
    """Return, for each square between four cells, these cells; a square has the index of its first cell."""
    padded = np.pad(cells, ((0, 1), (0, 1)), "edge")
    return [padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]]


def _touched(squares: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the cells at the corners of these squares."""
    padded = np.pad(squares, ((1, 0), (1, 0)))
    touched: NDArray[np.bool_] = padded[1:, 1:] | padded[1:, :-1] | padded[:-1, 1:] | padded[:-1, :-1]
    return touched


def _rule_out(probabilities: NDArray[np.float32], where: NDArray[np.bool_], index: int) -> None:
    others = probabilities[where]
    others[:, index] = 0
    total = others.sum(axis=1)
    # All other classes have probability 0: the first of them gets 1.
    others[total == 0, 0 if index else 1] = 1
    probabilities[where] = others / np.where(total > 0, total, 1)[:, np.newaxis]


def _fill_holes(probabilities: NDArray[np.float32], index: int) -> None:
    from scipy import ndimage

    own = probabilities.argmax(axis=2) == index
    holes = ndimage.binary_fill_holes(own) & ~own
    probabilities[holes] = 0
    probabilities[holes, index] = 1
