"""Checks that commands make before they import Keras."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from spyglass_cli.flags.extras import require
from spyglass_contract.errors import FailedPrecondition, InvalidInput

# The backends of Keras. The names are also those of their modules and packages.
_BACKENDS = ("tensorflow", "jax", "torch", "numpy")
_BACKEND = "KERAS_BACKEND"


def require_keras(*, to_export: bool = True) -> None:
    """Import Keras and its backend, without the lines that TensorFlow writes when it is imported.

    With `to_export`, also require the packages that convert to ONNX: tf2onnx, and TensorFlow for any backend.

    Raises MissingExtra, which ends the command, if a package of the extra `training` is missing. Raises
    InvalidInput if the environment variable KERAS_BACKEND names an unknown backend, and FailedPrecondition
    if that backend is not installed.
    """
    backend = os.environ.get(_BACKEND) or "tensorflow"
    if backend not in _BACKENDS:
        raise InvalidInput(
            f"{_BACKEND} must be one of {', '.join(_BACKENDS)}, not {backend!r}", field=_BACKEND
        )
    required = ["keras", "matplotlib"]
    if to_export or backend == "tensorflow":
        required.append("tensorflow")
    if to_export:
        required.append("tf2onnx")
    for module in required:
        require("training", module)
    if importlib.util.find_spec(backend) is None:
        raise FailedPrecondition(f"{_BACKEND} is {backend!r}, which is not installed: pip install {backend}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        with _quiet():
            importlib.import_module("keras")


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what is written to standard error in the block, unless the block raises an exception.

    TensorFlow's import ignores the log level and writes to the file descriptor, past Python.
    """
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as lines:
        standard_error = os.dup(2)
        os.dup2(lines.fileno(), 2)
        try:
            yield
        except BaseException:
            lines.seek(0)
            os.write(standard_error, lines.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(standard_error, 2)
            os.close(standard_error)
