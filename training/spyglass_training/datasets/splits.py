"""Cutting a data set in two at random, the same way for the same seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

# Of the images, where a data set does not say itself which are for testing.
TEST_SHARE = 0.2


def stratified(groups: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Cuts `share` (0 to 1) off every group; returns (what remains, what was cut off), indices in order.

    `groups` says of each member which group it is in. What is cut off a group is rounded, so that small
    groups may lose nothing.
    """
    random = np.random.default_rng(seed)
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    cut: set[int] = set()
    # In the order in which the groups appear: it is the data's own, and sets no condition on their type.
    for indices in members.values():
        cut.update(random.permutation(indices)[: round(len(indices) * share)].tolist())
    return [index for index in range(len(groups)) if index not in cut], sorted(cut)
