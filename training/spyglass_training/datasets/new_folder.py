"""Where a data set that is being made goes."""

from __future__ import annotations

from pathlib import Path

from spyglass_contract.errors import InvalidInput


def check_new(target: Path, *sources: Path) -> None:
    """Raises InvalidInput where `target` is no folder, has something in it, or lies in one of `sources`."""
    if target.exists() and not target.is_dir():
        raise InvalidInput(f"{target} is a file, not a folder", field="out")
    if target.exists() and any(target.iterdir()):
        raise InvalidInput(f"{target} is not empty", field="out")
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise InvalidInput(f"{target} lies in {source}, which is read: put it elsewhere", field="out")
