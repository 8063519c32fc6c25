"""The layers of a network as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import rich.table
from rich import box
from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from spyglass_training.inspect.arithmetic import Row

# Of what is not a terminal, in characters: no name is cut short for want of room.
_WIDTH = 160


def print_layers(rows: Sequence[Row], output: TextIO) -> None:
    """A line for each layer, and the sums."""
    table = rich.table.Table(box=box.SIMPLE_HEAD, show_footer=True)
    adds = [row.multiply_adds for row in rows]
    total = sum(count for count in adds if count is not None)
    columns = (
        ("layer", "left", f"{len(rows)} layers"),
        ("kind", "left", ""),
        ("output", "right", ""),
        ("parameters", "right", f"{sum(row.parameters for row in rows):,}"),
        ("multiply-adds", "right", f"{total:,}" if None not in adds else "open"),
        ("sees", "right", ""),
    )
    for header, justify, footer in columns:
        table.add_column(header, footer, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        shape = "×".join("?" if size is None else str(size) for size in row.shape)
        count = "?" if row.multiply_adds is None else f"{row.multiply_adds:,}" if row.multiply_adds else ""
        parameters = f"{row.parameters:,}" if row.parameters else ""
        cells = (row.name, row.kind, shape, parameters, count, str(row.receptive_field))
        table.add_row(*(Text(cell) for cell in cells))
    Console(file=output, width=None if output.isatty() else _WIDTH).print(table)
