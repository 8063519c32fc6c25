"""The licences of the pinned libraries."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("packaging")


@pytest.fixture
def licences(repository_root: Path) -> Any:
    """The module `tools/licences.py`."""
    spec = importlib.util.spec_from_file_location("licences", repository_root / "tools/licences.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install the metadata of a library."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, *lines: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
        (folder / "METADATA").write_text("\n".join([*head, *lines, "", ""]))

    return write


@pytest.mark.parametrize(
    ("line", "licence"),
    [
        ("License-Expression: MIT AND Zlib", "MIT AND Zlib"),
        ("License-Expression: GPL-3.0-only OR MIT", "GPL-3.0-only OR MIT"),
        ("Classifier: License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("License: 3-Clause BSD License", "BSD-3-Clause"),
    ],
)
def test_an_allowed_licence_passes(
    licences: Any, install: Callable[..., None], line: str, licence: str
) -> None:
    install("alib", line)

    lines, problems = licences.audit("alib==1.0\n")

    assert lines[0].split(maxsplit=2) == ["alib", "1.0", licence]
    assert problems == []


@pytest.mark.parametrize(
    "line",
    [
        "License-Expression: GPL-3.0-only",
        "License-Expression: MIT AND GPL-3.0-only",
        "Classifier: License :: OSI Approved :: GNU Affero General Public License v3",
        "Classifier: License :: OSI Approved",
        "License: UNKNOWN",
        "License: Proprietary",
        "Summary: nothing about it",
    ],
)
def test_another_or_unknown_licence_is_a_problem(
    licences: Any, install: Callable[..., None], line: str
) -> None:
    install("alib", line)

    (problem,) = licences.audit("alib==1.0\n")[1]

    assert problem.startswith("alib: the licence ")


def test_a_library_that_is_missing_or_of_another_version_is_a_problem(
    licences: Any, install: Callable[..., None]
) -> None:
    install("alib", "License-Expression: MIT")

    missing, other = licences.audit("nolib==1.0\nalib==2.0\n")[1]

    assert missing.startswith("nolib==1.0 is not installed")
    assert other == "alib is installed in version 1.0, not 2.0"


def test_a_library_that_another_one_needs_must_be_pinned(licences: Any, install: Callable[..., None]) -> None:
    install("alib", "License-Expression: MIT", "Requires-Dist: Blib", 'Requires-Dist: clib; extra == "more"')
    install("blib", "License-Expression: MIT")

    assert licences.audit("alib==1.0\n")[1] == ["alib needs Blib, which has no pin: make lock"]
    assert licences.audit("alib==1.0\nblib==1.0\n")[1] == []
