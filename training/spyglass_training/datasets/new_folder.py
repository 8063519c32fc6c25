"""The check of a folder for a new data set."""

from __future__ import annotations

from pathlib import Path

from spyglass_contract.errors import InvalidInput


def check_new(target: Path, *sources: Path) -> None:
    """Raise InvalidInput if `target` is a file, is not empty, or lies in one of `sources`."""
    if target.exists() and not target.is_dir():
        raise InvalidInput(f"{target} is a file, not a folder", field="out")
    if target.exists() and any(target.iterdir()):
        raise InvalidInput(f"{target} is not empty; choose a new or empty folder", field="out")
    for source in sources:
        if target.resolve().is_relative_to(source.resolve()):
            raise InvalidInput(
                f"{target} must not lie in {source}, which is read; choose another folder", field="out"
            )
