"""The lowest versions that pyproject.toml allows."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

EXTRAS = ("server", "export", "tests")


@pytest.fixture
def floors(repository_root: Path) -> Any:
    """The module `tools/floors.py`."""
    space: dict[str, Any] = {"__name__": "floors", "__file__": str(repository_root / "tools/floors.py")}
    exec((repository_root / "tools/floors.py").read_text(), space)
    return space["floors"]


PROJECT = {
    "name": "example",
    "dependencies": ["numpy>=1.26,<3", "some_lib >= 2.9"],
    "optional-dependencies": {
        "all": ["example[one,two]"],
        "one": ["numpy>=2,<3", "example[two]"],
        "two": ["Some.Lib[extra]>=2.10", "pinned==7.1"],
        "open": ["anything"],
    },
}


def test_without_extras_the_base_counts(floors: Any) -> None:
    assert floors(PROJECT, []) == {"numpy": "1.26", "some-lib": "2.9"}


def test_of_two_bounds_the_higher_one_counts(floors: Any) -> None:
    assert floors(PROJECT, ["all"]) == {"numpy": "2", "some-lib": "2.10", "pinned": "7.1"}


def test_a_library_without_a_lower_bound_is_refused(floors: Any) -> None:
    with pytest.raises(ValueError, match="no lower bound: anything"):
        floors(PROJECT, ["open"])


def test_the_script_prints_constraints_for_pip(repository_root: Path) -> None:
    command = [sys.executable, repository_root / "tools/floors.py", *EXTRAS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"pillow==13", "protobuf==7.35.1", "numpy==2"} <= set(printed)


def test_every_library_of_the_project_has_a_lower_bound(floors: Any, repository_root: Path) -> None:
    project = tomllib.loads((repository_root / "pyproject.toml").read_text())["project"]
    assert floors(project, list(project["optional-dependencies"]))
