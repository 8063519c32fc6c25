"""The models that come with the package."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

from spyglass_contract.errors import ModelError

# The folder in which the package lies: a checkout's `server`, or where it is installed.
_BESIDE = Path(__file__).resolve().parents[3]


def bundled_models(beside: Path = _BESIDE) -> Path:
    """Return the folder of bundled models, in the checkout or in the installed package.

    `beside` is the folder of the package `spyglass_server`. Raises ModelError if there are no models.
    """
    installed = beside / "spyglass_models"
    if installed.is_dir():
        return installed
    if _is_checkout(beside.parent) and (beside.parent / "models").is_dir():
        return beside.parent / "models"
    found = importlib.util.find_spec("spyglass_models")
    if found is None or not found.submodule_search_locations:
        raise ModelError("this installation has no bundled models; give a folder of models")
    return Path(next(iter(found.submodule_search_locations)))


def is_bundled(models: Path) -> bool:
    """Return whether a folder is that of the bundled models."""
    try:
        return models.resolve() == bundled_models().resolve()
    except ModelError:
        return False


def _is_checkout(folder: Path) -> bool:
    """Return whether this is the source of Spyglass, and not a project into which it was installed."""
    try:
        with (folder / "pyproject.toml").open("rb") as file:
            project = tomllib.load(file)["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(project == "spyglass")
