"""Print the lowest versions that pyproject.toml allows, as constraints for pip: `tools/floors.py EXTRA …`.

Of two bounds for one library the higher one counts. A range such as ">=1.85,<2" becomes "==1.85".
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[(?P<extras>[a-z0-9,-]+)\])?(?P<bounds>[^;]*)")
LOWEST = re.compile(r"(?:>=|==)\s*([0-9][0-9.]*)")


def floors(project: dict[str, object], extras: list[str]) -> dict[str, str]:
    """Return the lowest version of each library that the project needs with these extras.

    Raises ValueError for a requirement without a lower bound.
    """
    found: dict[str, str] = {}
    optional = project.get("optional-dependencies", {})
    waiting = [*_texts(project["dependencies"]), *(f"{project['name']}[{extra}]" for extra in extras)]
    seen: set[str] = set()
    while waiting:
        requirement = waiting.pop()
        if requirement in seen:
            continue
        seen.add(requirement)
        match = REQUIREMENT.match(requirement)
        assert match is not None, requirement
        if match["name"] == project["name"]:
            assert isinstance(optional, dict)
            waiting += [each for extra in match["extras"].split(",") for each in _texts(optional[extra])]
            continue
        bound = LOWEST.search(match["bounds"])
        if bound is None:
            raise ValueError(f"no lower bound: {requirement}")
        name = re.sub(r"[-_.]+", "-", match["name"]).lower()
        found[name] = max(found.get(name, "0"), bound[1], key=_number)
    return found


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def main(extras: list[str]) -> None:
    """Print the constraints."""
    text = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text()
    for name, version in sorted(floors(tomllib.loads(text)["project"], extras).items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main(sys.argv[1:])
