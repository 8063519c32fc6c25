"""The code blocks of the page for clients, and a good and a bad image."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def documented(repository_root: Path, explaining_server: str) -> Callable[[str, str], str]:
    """The code block of a language below a heading, aimed at the server: `documented("Node", "js")`."""
    page = (repository_root / "docs/clients.md").read_text(encoding="utf-8")

    def find(heading: str, language: str) -> str:
        section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        (code,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
        return str(code).replace("localhost:50051", explaining_server)

    return find


@pytest.fixture
def images(tmp_path: Path, color_image: Callable[..., bytes]) -> tuple[Path, Path]:
    """A file of an image in red, and a file that is no image."""
    good, bad = tmp_path / "red.png", tmp_path / "text.png"
    good.write_bytes(color_image("red"))
    bad.write_text("this is text, and no image")
    return good, bad
