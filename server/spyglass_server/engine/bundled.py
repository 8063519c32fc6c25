"""The models that come with the package."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spyglass_contract.errors import ModelError


def bundled_models() -> Path:
    """Return the folder of bundled models, in the checkout or in the installed package. Raises ModelError."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "models"
    installed = importlib.util.find_spec("spyglass_models")
    if installed is None or not installed.submodule_search_locations:
        raise ModelError("this installation has no bundled models; give a folder of models")
    return Path(next(iter(installed.submodule_search_locations)))
