"""Networks in files of Keras's own format."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from spyglass_contract.errors import ModelError, NotFound


def load_keras(path: Path) -> keras.Model:
    """The network in a .keras file, not compiled. Raises NotFound, and ModelError where it cannot be read."""
    if not path.is_file():
        raise NotFound(f"there is no network {path}")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is no network: networks are in the folders of runs, or in .keras files")
    # Registers the layers of our own that files may name.
    import spyglass_training.models  # noqa: F401

    try:
        return keras.models.load_model(path, compile=False)
    # Keras raises whatever it stumbles over in a file that is not its own, in many lines.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path} is not a network that Keras can read: {reason}") from error
