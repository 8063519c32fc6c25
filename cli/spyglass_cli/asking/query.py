"""What is asked about every image."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_client import Refinement


@dataclass(frozen=True)
class ClassQuestion:
    """What is in it, and where the model saw that.

    A model by name, empty: the default one; how many classes, None: five; seconds for each image.
    """

    model: str = ""
    top_k: int | None = None
    timeout: float | None = None
    # Classes to explain, by index or name, None: the predicted one; empty: no heatmap is asked for.
    targets: tuple[int | str | None, ...] = ()


@dataclass(frozen=True)
class SegmentQuestion:
    """Which class each pixel belongs to.

    A model by name, empty: the default one; seconds for each image.
    """

    model: str = ""
    timeout: float | None = None
    refine: tuple[Refinement, ...] = ()
    # The class whose probabilities are wanted, too.
    soft: int | str | None = None


Question = ClassQuestion | SegmentQuestion
