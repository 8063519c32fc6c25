"""The sections of a page that a benchmark writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from measuring.docs_section import PAGE, replace_section


def test_only_the_named_section_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "before\n<!-- a begins -->\nold\n<!-- a ends -->\n<!-- b begins -->\nx\n<!-- b ends -->\n"
    )
    replace_section("a", "new\n", page)
    replace_section("a", "newer", page)
    expected = (
        "before\n<!-- a begins -->\n\nnewer\n\n<!-- a ends -->\n<!-- b begins -->\nx\n<!-- b ends -->\n"
    )
    assert page.read_text() == expected


def test_a_page_without_the_section_is_not_changed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- a begins -->\n")
    with pytest.raises(ValueError, match="a ends"):
        replace_section("a", "new", page)
    assert page.read_text() == "<!-- a begins -->\n"


@pytest.mark.parametrize("name", ["serving", "overload", "fairness", "soak"])
def test_the_page_of_figures_has_the_sections_of_the_scripts(name: str) -> None:
    text = PAGE.read_text()
    assert text.count(f"<!-- {name} begins -->") == text.count(f"<!-- {name} ends -->") == 1
