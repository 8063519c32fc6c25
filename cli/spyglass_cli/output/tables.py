"""Tables for people: the one look of all tables that commands print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Width in characters of a table that does not go to a terminal: wide enough to leave names whole.
_WIDTH = 160


@dataclass(frozen=True)
class Column:
    """A column; its cells wrap if they are `foldable`."""

    heading: str
    justify: Literal["left", "right"] = "left"
    footer: str = ""
    foldable: bool = True


def make_table(columns: Sequence[Column], *, headings: bool = True) -> Table:
    """Return an empty table. It has a footer if any column has one."""
    table = Table(
        box=box.SIMPLE_HEAD,
        caption_justify="left",
        show_header=headings,
        show_footer=any(column.footer for column in columns),
    )
    for column in columns:
        table.add_column(
            column.heading,
            column.footer,
            justify=column.justify,
            overflow="fold",
            no_wrap=not column.foldable,
        )
    return table


def add_row(table: Table, cells: Sequence[str], *, style: str = "", end_section: bool = False) -> None:
    """Add a row of plain text, in which rich looks for no markup."""
    table.add_row(*map(Text, cells), style=style, end_section=end_section)


def print_table(table: Table, output: TextIO) -> None:
    """Print the table, as wide as the terminal or at most 160 characters wide."""
    Console(file=output, width=None if output.isatty() else _WIDTH).print(table)
