"""JSON and tables on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    json.dump(value, sys.stdout, indent=2)
    print()


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], *, headings: bool = True) -> None:
    """Print rows of plain text as a table."""
    # rich takes long to import, and JSON does not need it.
    from spyglass_cli.output.tables import Column, add_row, make_table, print_table

    table = make_table([Column(name) for name in columns], headings=headings)
    for row in rows:
        add_row(table, row)
    print_table(table, sys.stdout)
