"""A result as rows, for tables and CSV; each kind of result has its own rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from spyglass_cli.asking.outcomes import Outcome


class Rows(ABC):
    """One row for each class."""

    # The columns of CSV; "path", "model", "version" and "error" are the same for every kind.
    columns: ClassVar[tuple[str, ...]]
    # The headings of the numbers that a table shows beside the name of a class.
    numbers: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fields(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the rows of CSV, by the names of `columns`; a missing field is empty."""

    @abstractmethod
    def cells(self, outcome: Outcome) -> list[Sequence[str]]:
        """Return the rows of a table: the name of the class, then `numbers`."""

    @abstractmethod
    def written(self, outcome: Outcome) -> list[str]:
        """Return a line about each file that was written."""
