"""constraints.txt pins what pyproject.toml allows."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("packaging")


@pytest.fixture
def pins(repository_root: Path) -> Any:
    """The module `tools/pins.py`."""
    spec = importlib.util.spec_from_file_location("pins", repository_root / "tools/pins.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_library_of_the_project_is_pinned_in_its_range(
    pins: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pins.main() == 0, capsys.readouterr().out


PROJECT = {
    "name": "example",
    "dependencies": ["numpy>=2,<3", "Some_Lib>=1"],
    "optional-dependencies": {"all": ["example[more]"], "more": ["other==3"], "zoo": ["torch==2"]},
}


def test_each_problem_is_named(pins: Any) -> None:
    found = pins.problems(PROJECT, pins.read_pins("numpy==1.9\nsome-lib==1.5\n"))

    assert found == [
        "constraints.txt has numpy==1.9; pyproject.toml has numpy<3,>=2",
        "other has no line in constraints.txt",
    ]
    assert pins.problems(PROJECT, pins.read_pins("numpy==2.1\nsome.lib==1.5\nother==3")) == []


@pytest.mark.parametrize("line", ["numpy>=2", "-e .", "numpy"])
def test_a_line_that_is_no_pin_is_refused(pins: Any, line: str) -> None:
    with pytest.raises(ValueError, match="expected NAME==VERSION"):
        pins.read_pins(f"rich==14\n{line}\n")
