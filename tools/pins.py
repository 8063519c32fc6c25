"""Check that constraints.txt pins every library of pyproject.toml to a version in its range.

`python tools/pins.py` prints each problem, and returns 1 if there is one. The extras of GPUs, of PyTorch and
of the zoo have environments of their own, which are not pinned.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
UNPINNED_EXTRAS = ("server-gpu", "torch-tests", "zoo")


def read_pins(text: str) -> dict[str, Version]:
    """Return the version of each library. Raises ValueError for a line that is no NAME==VERSION."""
    pins = {}
    for line in text.splitlines():
        name, separator, version = line.partition("==")
        if not separator:
            raise ValueError(f"expected NAME==VERSION, not {line!r}")
        pins[canonicalize_name(name)] = Version(version)
    return pins


def requirements(project: Mapping[str, Any]) -> Iterator[Requirement]:
    """Yield the requirements of the project and of its pinned extras, without those on itself."""
    texts = [*project["dependencies"]]
    for extra, more in project["optional-dependencies"].items():
        texts += [] if extra in UNPINNED_EXTRAS else more
    for requirement in map(Requirement, texts):
        if requirement.name != project["name"]:
            yield requirement


def problems(project: Mapping[str, Any], pins: Mapping[str, Version]) -> list[str]:
    """Return what is wrong, one sentence each."""
    found = []
    for requirement in requirements(project):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement.name} has no line in constraints.txt")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(
                f"constraints.txt has {requirement.name}=={version}; pyproject.toml has {requirement}"
            )
    return list(dict.fromkeys(found))


def main() -> int:
    """Print the problems; return 1 if there are any."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = problems(project, read_pins((ROOT / "constraints.txt").read_text()))
    print("\n".join(found) or "constraints.txt pins every library in its range")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
