"""The interface of the output formats."""

from __future__ import annotations

from abc import ABC, abstractmethod

from spyglass_cli.asking.outcomes import Outcome


class Writer(ABC):
    """Writes outcomes in one format."""

    # True if a reader can use each outcome as soon as it is added.
    at_once = True

    @abstractmethod
    def add(self, outcome: Outcome) -> None:
        """Write one outcome, or keep it until `close`."""

    def close(self) -> None:
        """Write what the format can only write after the last outcome."""
        return None
