"""How far what a model sees is from its baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spyglass_contract.model.statistics import CLASS, QUANTITIES, Statistics

MODERATE, SHIFTED = 0.1, 0.25
"""Below the first a population counts as stable, from the second on as shifted. These limits are a custom of
credit scoring (Siddiqi, "Credit Risk Scorecards", 2006), not a test: look at the images before you act."""

# Added to each bin, so that an empty one does not make the index infinite.
_SMOOTHING = 0.5
# The 99th percentile of the normal distribution.
_NORMAL_99 = 2.3263


@dataclass(frozen=True)
class Drift:
    """The distance of one quantity from the baseline.

    `psi` is the population stability index, without what chance alone adds to it on average. `divergence` is
    the Jensen-Shannon divergence in bits, 0 (equal) to 1 (nothing in common). `chance` is the index that as
    many images of the same population stay below in 99 of 100 cases: the fewer images, the larger it is.
    """

    quantity: str
    psi: float
    divergence: float
    chance: float

    @property
    def verdict(self) -> str:
        """`stable`, `moderate` or `shifted`; what chance explains is stable."""
        if self.psi < max(MODERATE, self.chance):
            return "stable"
        return "moderate" if self.psi < SHIFTED else "shifted"


def drift(baseline: Statistics, seen: Statistics) -> list[Drift]:
    """Return the distance of each quantity that both have; none if one of them has no images.

    The index is Σ (p - q) ln(p / q) over the bins. Of n and m images of one population it is distributed as
    (1/n + 1/m) χ² with bins - 1 degrees of freedom: Yurdakul and Naranjo, "Statistical properties of the
    population stability index", Journal of Risk Model Validation 14(4), 2020.
    """
    if not baseline.images or not seen.images:
        return []
    return [
        _distance(quantity, baseline, seen)
        for quantity in QUANTITIES
        if baseline.counts.get(quantity) and seen.counts.get(quantity)
    ]


def _distance(quantity: str, baseline: Statistics, seen: Statistics) -> Drift:
    expected, found = baseline.counts[quantity], seen.counts[quantity]
    bins = sorted(expected.keys() | found.keys())
    # An image counts 1000 among the classes.
    scale = sum(found.values()) / seen.images if quantity == CLASS else 1.0
    smoothing = _SMOOTHING * max(1.0, scale)
    q = _shares([expected[each] for each in bins], smoothing)
    p = _shares([found[each] for each in bins], smoothing)
    psi = sum((new - old) * math.log(new / old) for new, old in zip(p, q, strict=True))
    rate = 1 / baseline.images + 1 / seen.images
    mean, chance = (len(bins) - 1) * rate, _chi_squared_99(len(bins) - 1) * rate
    middle = [(new + old) / 2 for new, old in zip(p, q, strict=True)]
    divergence = (_information(p, middle) + _information(q, middle)) / 2
    return Drift(quantity, max(0.0, psi - mean), min(1.0, max(0.0, divergence)), chance)


def _shares(counts: list[int], smoothing: float) -> list[float]:
    total = sum(counts) + smoothing * len(counts)
    return [(count + smoothing) / total for count in counts]


def _chi_squared_99(degrees: int) -> float:
    """Return the 99th percentile of χ², by the approximation of Wilson and Hilferty (1931)."""
    if degrees < 1:
        return 0.0
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + _NORMAL_99 * math.sqrt(part)) ** 3)


def _information(p: list[float], q: list[float]) -> float:
    """Return the Kullback-Leibler divergence in bits."""
    return sum(new * math.log2(new / old) for new, old in zip(p, q, strict=True))
