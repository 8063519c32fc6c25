"""Random cuts of a data set in two, the same for the same seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

# Fraction of the images for testing, if a data set has no test part.
TEST_SHARE = 0.2


def stratified(groups: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Cut `share` (0 to 1) off every group; return (the rest, the cut-off part), indices in order.

    `groups` has the group of each member. The size of a cut is rounded, so small groups may lose nothing.
    """
    random = np.random.default_rng(seed)
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    cut: set[int] = set()
    # In the order in which the groups appear, which needs no ordering of their type.
    for indices in members.values():
        cut.update(random.permutation(indices)[: round(len(indices) * share)].tolist())
    return [index for index in range(len(groups)) if index not in cut], sorted(cut)
