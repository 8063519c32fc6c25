"""What is asked about every picture."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A model by name, empty: the default one; how many classes, None: five; seconds for each picture."""

    model: str = ""
    top_k: int | None = None
    timeout: float | None = None
    # Classes to explain, by index or name, None: the predicted one; empty: no heatmap is asked for.
    targets: tuple[int | str | None, ...] = ()
