"""An answer as rows, for the formats that have some: what a row of each kind of answer tells."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from spyglass_cli.asking.outcomes import Outcome


class Rows(ABC):
    """One row a class."""

    # Of CSV; "path", "model", "version" and "error" are filled in for every kind.
    columns: ClassVar[tuple[str, ...]]
    # The headings of what a table tells of a class beside its name.
    numbers: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fields(self, outcome: Outcome) -> list[dict[str, Any]]:
        """The rows of CSV, by the names of `columns`; what is left out is empty."""

    @abstractmethod
    def cells(self, outcome: Outcome) -> list[Sequence[str]]:
        """The rows of a table: the class's name, and then `numbers`."""

    @abstractmethod
    def written(self, outcome: Outcome) -> list[str]:
        """A line about each file that was written."""
