"""Outcomes as a table for people."""

from __future__ import annotations

from typing import TextIO

import rich.table
from rich import box
from rich.console import Console
from rich.text import Text

from spyglass_cli.asking.outcomes import Outcome
from spyglass_cli.output.formats import Writer
from spyglass_cli.output.rows import Rows
from spyglass_client import Failure

# Of what is not a terminal, in characters: no name is cut short for want of room.
_WIDTH = 160


class Table(Writer):
    """A block of rows for each image; each failure on a line of its own, under the table."""

    at_once = False

    def __init__(self, rows: Rows, output: TextIO, errors: TextIO) -> None:
        self._rows = rows
        self._output = output
        self._errors = errors
        self._failures: list[str] = []
        self._written: list[str] = []
        self._models: dict[str, None] = {}
        self._table = rich.table.Table(box=box.SIMPLE_HEAD, caption_justify="left")
        self._table.add_column("image", overflow="fold")
        self._table.add_column("class", overflow="fold")
        for heading in rows.numbers:
            self._table.add_column(heading, justify="right", no_wrap=True)

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome.result, Failure):
            self._failures.append(f"{outcome.path}: {outcome.result.error.message}")
        else:
            model = outcome.result.model
            self._models[f"{model.name}:{model.version} on {model.provider}"] = None
            self._add_rows(outcome)
            self._written += self._rows.written(outcome)

    def close(self) -> None:
        if self._table.row_count:
            width = None if self._output.isatty() else _WIDTH
            self._table.caption = Text("by " + ", ".join(self._models))
            Console(file=self._output, width=width).print(self._table)
        for line in self._written:
            print(line, file=self._output)
        for failure in self._failures:
            print(failure, file=self._errors)

    def _add_rows(self, outcome: Outcome) -> None:
        rows = self._rows.cells(outcome)
        for position, (name, *numbers) in enumerate(rows):
            self._table.add_row(
                # Text, and not a string, in which rich would look for markup.
                Text(outcome.path if position == 0 else ""),
                Text(name),
                *numbers,
                style="bold" if position == 0 else "",
                end_section=position == len(rows) - 1,
            )
