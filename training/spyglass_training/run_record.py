"""What a run notes of itself beside its figures."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import platform

import keras

_LIBRARIES = ("keras", "numpy", "pillow")


def library_versions() -> dict[str, str]:
    """The versions of what can change a result: Python, Keras and its backend, numpy, Pillow."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        # Its package may have another name than its module, as tensorflow-cpu has.
        backend: str(importlib.import_module(backend).__version__),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def now() -> str:
    """The time in ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
