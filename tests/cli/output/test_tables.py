"""The tables that commands print."""

from __future__ import annotations

import io

from spyglass_cli.output.tables import Column, add_row, make_table, print_table


def test_a_table_in_a_file_does_not_cut_long_names() -> None:
    name, output = "n" * 120, io.StringIO()
    table = make_table([Column("image"), Column("score", "right", foldable=False)])
    add_row(table, (name, "97.5%"))
    print_table(table, output)
    assert f"{name}   97.5%" in output.getvalue()


def test_brackets_in_a_cell_are_text_and_not_markup() -> None:
    output = io.StringIO()
    table = make_table([Column("image"), Column("class")])
    add_row(table, ("[bold]a[/bold].png", "[red]"))
    print_table(table, output)
    assert "[bold]a[/bold].png" in output.getvalue() and "[red]" in output.getvalue()


def test_footers_are_printed_and_headings_can_be_left_out() -> None:
    output = io.StringIO()
    table = make_table([Column("layer", footer="7 layers"), Column("kind")], headings=False)
    add_row(table, ("conv", "Conv2D"))
    print_table(table, output)
    assert "7 layers" in output.getvalue() and "kind" not in output.getvalue()
