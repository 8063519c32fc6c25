"""The table format of outcomes."""

from __future__ import annotations

from typing import TextIO

from rich.text import Text

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.output.failures import Failures
from spyglass_cli.output.rows import Rows
from spyglass_cli.output.tables import Column, add_row, make_table, print_table
from spyglass_cli.output.writer import Writer
from spyglass_client import Failure


class Table(Writer):
    """A block of rows for each image; below the table, written files and failures, one a line."""

    at_once = False

    def __init__(self, rows: Rows, output: TextIO, errors: TextIO) -> None:
        self._rows = rows
        self._output = output
        self._errors = errors
        self._failures = Failures()
        self._written: list[str] = []
        self._models: dict[str, None] = {}
        numbers = [Column(heading, "right", foldable=False) for heading in rows.numbers]
        self._table = make_table([Column("image"), Column("class"), *numbers])

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome.result, Failure):
            self._failures.add(outcome.path, outcome.result.error)
        else:
            model = outcome.result.model
            self._models[f"{model.name}:{model.version} on {model.provider}"] = None
            self._add_rows(outcome)
            self._written += self._rows.written(outcome)

    def close(self) -> None:
        if self._table.row_count:
            self._table.caption = Text("by " + ", ".join(self._models))
            print_table(self._table, self._output)
        for line in self._written:
            print(line, file=self._output)
        for line in self._failures.lines(all_failed=not self._models):
            print(line, file=self._errors)

    def _add_rows(self, outcome: Outcome) -> None:
        rows = self._rows.cells(outcome)
        for position, cells in enumerate(rows):
            add_row(
                self._table,
                (outcome.path if position == 0 else "", *cells),
                style="bold" if position == 0 else "",
                end_section=position == len(rows) - 1,
            )
