"""What came of each picture: the one thing that all ways to ask give, and all formats show."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from spyglass_client import Answer


@dataclass(frozen=True)
class Outcome:
    """A picture, and its answer or failure."""

    path: str
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """`{"path", "model", "classes", "timing_ms"}` or `{"path", "error"}`."""
        return {"path": self.path, **self.answer.to_dict()}


Outcomes = Generator[Outcome, None, None]
"""Outcomes as they come; to close it ends what is under way."""
