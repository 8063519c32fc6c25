"""Nodes that rearrange a tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spyglass_export.simplifying.arrangement import Arrangement
from spyglass_export.simplifying.rewriting import Rewriting
from spyglass_export.simplifying.source import Source, free_axis

_BEFORE_ANY = int(np.iinfo(np.int64).min)
# The operator, the inputs behind the first, and the attributes of a node in a chain.
Step = tuple[str, list[str], dict[str, list[int] | int]]


def write(
    rewriting: Rewriting, source: Source, found: Arrangement, result: str, before: Sequence[Step] = ()
) -> None:
    """Write an arrangement as slices, at most one Reshape, and at most one Transpose, behind other steps."""
    steps = list(before)
    sizes = list(source.dims[-1])
    for axis, picks in enumerate(found.picks):
        if picks is not None:
            steps.append(slice_step(rewriting, picks, axis))
            sizes[axis] = len(picks)
    final = source.result[-1]
    order = _order(found, len(final))
    free = free_axis(source.result)
    target = [final[axis] for axis in order]
    if target != sizes:
        shape = [-1 if axis == free else final[axis] for axis in order]
        steps.append(("Reshape", [rewriting.constant(shape)], {}))
    if order != sorted(order):
        steps.append(("Transpose", [], {"perm": [order.index(axis) for axis in range(len(final))]}))
    chain(rewriting, source.name, steps, result)


def _order(found: Arrangement, rank: int) -> list[int]:
    """Axes of the result in the order of the source's axes; those of size 1 that none fills do not move."""
    filled = [axis for each in found.axes for axis in each]
    if filled == sorted(filled):
        return list(range(rank))
    unfilled = [axis for axis in range(rank) if axis not in filled]
    # A batch of one is in front.
    return [*unfilled[:1], *filled, *unfilled[1:]] if 0 in unfilled else [*filled, *unfilled]


def slice_step(rewriting: Rewriting, picks: Sequence[int], axis: int) -> Step:
    """Return a step that picks indices along an axis: a Slice if they are evenly spaced, else a Gather."""
    steps = set(np.diff(picks).tolist()) or {1}
    step = steps.pop()
    if steps or step == 0:
        return "Gather", [rewriting.constant(picks)], {"axis": axis}
    end = picks[-1] + (1 if step > 0 else -1)
    bounds = [[picks[0]], [end if end >= 0 else _BEFORE_ANY], [axis], [step]]
    return "Slice", [rewriting.constant(bound) for bound in bounds], {}


def chain(rewriting: Rewriting, source: str, steps: Sequence[Step], result: str) -> None:
    """Add nodes one behind the other, the last of which returns `result`."""
    name = source
    for index, (op_type, inputs, attributes) in enumerate(steps or [("Identity", [], {})]):
        last = index == max(len(steps), 1) - 1
        output = result if last else rewriting.fresh(f"{result}/{op_type}")
        name = rewriting.add(op_type, [name, *inputs], output, **attributes)
