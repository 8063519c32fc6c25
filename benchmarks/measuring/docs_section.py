"""Sections of docs/performance.md that a benchmark writes, between two comments with its name."""

from __future__ import annotations

from pathlib import Path

_DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = _DOCS / "performance.md"
IMAGES = _DOCS / "images"


def replace_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` between `<!-- NAME begins -->` and `<!-- NAME ends -->`. Raises ValueError without them."""
    begin, end = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name} must have the lines {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")
