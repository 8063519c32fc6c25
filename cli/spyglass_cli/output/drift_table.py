"""The drift of a model: a row for each quantity, and the classes that changed most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from spyglass_contract.model.drift import Drift
from spyglass_contract.model.statistics import CLASS, Statistics

HEADINGS = ("quantity", "index", "by chance", "divergence", "verdict")

# Classes that the table names.
_SHOWN = 5
# A share that changes by less is not shown.
_LEAST_CHANGE = 0.01


def drift_rows(found: Sequence[Drift]) -> list[tuple[str, ...]]:
    """Return the rows of the table; see `Drift` for the numbers."""
    return [
        (each.quantity, f"{each.psi:.3f}", f"{each.chance:.3f}", f"{each.divergence:.3f}", each.verdict)
        for each in found
    ]


def class_changes(
    baseline: Statistics, seen: Statistics, names: Sequence[str]
) -> list[tuple[str, float, float]]:
    """Return the name, old share and new share of the classes whose shares changed most."""
    old, new = _shares(baseline), _shares(seen)
    changes = sorted(
        old.keys() | new.keys(), key=lambda index: -abs(new.get(index, 0.0) - old.get(index, 0.0))
    )
    return [
        (names[index], old.get(index, 0.0), new.get(index, 0.0))
        for index in changes[:_SHOWN]
        if index < len(names) and abs(new.get(index, 0.0) - old.get(index, 0.0)) >= _LEAST_CHANGE
    ]


def drift_json(found: Sequence[Drift], baseline: Statistics, seen: Statistics) -> dict[str, Any]:
    """Return the drift for machines."""
    return {
        "baseline_images": baseline.images,
        "seen_images": seen.images,
        "quantities": [
            {
                "quantity": each.quantity,
                "psi": each.psi,
                "chance": each.chance,
                "divergence": each.divergence,
                "verdict": each.verdict,
            }
            for each in found
        ],
    }


def _shares(statistics: Statistics) -> dict[int, float]:
    counts = statistics.counts.get(CLASS, Counter())
    total = sum(counts.values())
    return {index: count / total for index, count in counts.items()} if total else {}
