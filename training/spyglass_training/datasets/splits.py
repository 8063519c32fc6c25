"""Random cuts of a data set in two, the same for the same seed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np

from spyglass_training.datasets.parts import TEST, TRAIN

Member = TypeVar("Member")

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


def cut_test_part(
    members: Sequence[Member], groups: Sequence[Hashable], seed: int
) -> dict[str, list[Member]]:
    """Return the training part without TEST_SHARE of each group, and the test part of these."""
    train, test = stratified(groups, TEST_SHARE, seed)
    return {TRAIN: [members[index] for index in train], TEST: [members[index] for index in test]}


def cut_warning(test: Sequence[object]) -> str:
    """Return the warning about a data set that has parts, but no test part."""
    return f"there is no test part: {len(test):,} of the training images are used for testing"
