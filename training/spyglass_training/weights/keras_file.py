"""Networks in files of Keras's own format."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from spyglass_contract.errors import ModelError, NotFound


def load_keras(path: Path) -> keras.Model:
    """Return the network in a .keras file, not compiled.

    Raises NotFound if the file is missing, and ModelError if Keras cannot read it.
    """
    if not path.is_file():
        raise NotFound(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is not a .keras file; pass a .keras file or the folder of a run")
    try:
        return keras.models.load_model(path, compile=False)
    # For a damaged or foreign file Keras raises many kinds of errors, with messages of many lines.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"Keras cannot read the network in {path}: {reason}") from error
