"""A tensor that a node reads at known places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from spyglass_export.simplifying.arrangement import Arrangement, find_arrangement
from spyglass_export.simplifying.positions import Positions

# Positions are evaluated for batches of 1, 2 and 3 only: index tensors can be large.
EVALUATED = 3


@dataclass(frozen=True)
class Source:
    """A tensor that a node reads, for each assumed batch: its shape, and the places that the node reads."""

    name: str
    dims: Sequence[tuple[int, ...]]
    positions: Sequence[Positions]

    @property
    def free(self) -> int | None:
        """The axis that the batch makes longer, None if there is none."""
        return free_axis(self.dims)

    @property
    def result(self) -> list[tuple[int, ...]]:
        """The shape of the result for each batch."""
        return [each.shape for each in self.positions]


def free_axis(dims: Sequence[tuple[int, ...]]) -> int | None:
    """Return the only axis whose size differs between batches, None unless it grows with them."""
    if len({len(each) for each in dims}) != 1:
        return None
    changing = [axis for axis, sizes in enumerate(zip(*dims, strict=True)) if len(set(sizes)) > 1]
    if len(changing) != 1:
        return None
    sizes = [each[changing[0]] for each in dims]
    grows = all(size == sizes[0] * (index + 1) for index, size in enumerate(sizes))
    return changing[0] if grows else None


def arrangement_of(source: Source) -> Arrangement | None:
    """Return the arrangement of the places that holds for every batch.

    None if there is none, and if its indices are more than the numbers of an image.
    """
    found = find_arrangement(source.positions[-1], source.dims[-1])
    if found is None or sum(len(picks or ()) for picks in found.picks) > prod(source.dims[0]):
        return None
    free, changing = source.free, free_axis(source.result)
    if len(source.dims) > 1 and (free is None or found.picks[free] is not None):
        return None
    # A flat tensor also holds the batch in front; but a tensor that shows its axes is the better source.
    if changing is not None and free is not None and found.axes[free] != (changing,):
        return None
    for dims, positions in zip(source.dims, source.positions, strict=True):
        rebuilt = found.positions(dims, positions.shape)
        if rebuilt is None or not np.array_equal(rebuilt, positions):
            return None
    return found
