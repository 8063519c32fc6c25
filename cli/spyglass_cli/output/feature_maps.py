"""The list of feature maps that `spyglass adopt --dry-run` prints."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, TextIO

from spyglass_cli.output.tables import Column, add_row, make_table, print_table

if TYPE_CHECKING:
    from spyglass_export.gradcam.finding.candidates import Candidate, Candidates

# Operators that the table shows of a longer list.
_SHOWN = 4


def print_maps(candidates: Candidates, output_format: str, output: TextIO) -> None:
    """Print the maps as "table" or "json". Notices and problems of a table go to standard error."""
    if output_format == "json":
        print(json.dumps(candidates.to_dict(), indent=2), file=output)
        return
    table = make_table(
        (
            Column("", foldable=False),
            Column("feature map"),
            Column("places", "right", foldable=False),
            Column("channels", "right", foldable=False),
            Column("operators behind it"),
            Column("remarks"),
        )
    )
    for each in candidates.maps:
        add_row(table, _cells(each))
    print_table(table, output)
    for told in (*candidates.notices, candidates.problem):
        if told:
            print(told, file=sys.stderr)


def _cells(each: Candidate) -> tuple[str, ...]:
    operators = ", ".join(each.operators[:_SHOWN])
    if len(each.operators) > _SHOWN:
        operators += f" and {len(each.operators) - _SHOWN} more"
    mark = "explained" if each.chosen else ""
    return (
        mark,
        each.tensor,
        f"{each.height} × {each.width}",
        f"{each.channels:,}",
        operators,
        "; ".join(_remarks(each)),
    )


def _remarks(each: Candidate) -> list[str]:
    remarks = []
    if each.without_rule:
        remarks.append(f"no gradient rule: {', '.join(each.without_rule)}")
    elif not each.has_gradient:
        remarks.append("no gradient")
    if each.is_read is False:
        remarks.append("its gradient is 0")
    return remarks
