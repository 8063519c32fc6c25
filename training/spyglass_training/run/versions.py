"""The software and the time of a run, for its record."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import platform

import keras

_LIBRARIES = ("keras", "numpy", "pillow")


def library_versions() -> dict[str, str]:
    """Return the versions of Python, Keras, its backend, numpy and Pillow, which can change a result."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        # The backend's package may have another name than its module, such as tensorflow-cpu.
        backend: str(importlib.import_module(backend).__version__),
        **{name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
