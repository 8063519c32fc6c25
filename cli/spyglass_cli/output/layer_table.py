"""The table of a network's layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from spyglass_cli.output.tables import Column, add_row, make_table, print_table

if TYPE_CHECKING:
    from spyglass_training.inspect.arithmetic import Row

_UNKNOWN = "?"


def print_layers(rows: Sequence[Row], output: TextIO) -> None:
    """Print a row for each layer, and the totals."""
    columns = (
        Column("layer", footer=f"{len(rows)} layers"),
        Column("kind"),
        Column("output", "right"),
        Column("parameters", "right", f"{sum(row.parameters for row in rows):,}"),
        Column("multiply-adds", "right", _total_multiply_adds(rows)),
        Column("receptive field", "right"),
    )
    table = make_table(columns)
    for row in rows:
        add_row(table, _cells(row))
    print_table(table, output)


def _total_multiply_adds(rows: Sequence[Row]) -> str:
    total = 0
    for row in rows:
        if row.multiply_adds is None:
            return _UNKNOWN
        total += row.multiply_adds
    return f"{total:,}"


def _cells(row: Row) -> tuple[str, ...]:
    shape = "×".join(_UNKNOWN if size is None else str(size) for size in row.shape)
    multiply_adds = _UNKNOWN if row.multiply_adds is None else _non_zero(row.multiply_adds)
    return (row.name, row.kind, shape, _non_zero(row.parameters), multiply_adds, str(row.receptive_field))


def _non_zero(count: int) -> str:
    return f"{count:,}" if count else ""
