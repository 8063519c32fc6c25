"""What the commands that run Keras need before they import it."""

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

# What computes for Keras, by the names of their modules, which are those of their packages.
_BACKENDS = ("tensorflow", "jax", "torch", "numpy")
_BACKEND = "KERAS_BACKEND"


def require_keras(*, to_export: bool = True) -> None:
    """Imports Keras, and what computes for it, without the notes that TensorFlow writes then.

    `to_export` asks for what the conversion to ONNX needs, too, which is TensorFlow whatever computes. Raises
    MissingExtra, which ends the command, where a package of the extra `training` is missing; InvalidInput and
    FailedPrecondition where the environment asks for what Keras does not know or what is not installed.
    """
    backend = os.environ.get(_BACKEND) or "tensorflow"
    if backend not in _BACKENDS:
        raise InvalidInput(f"{_BACKEND} is {backend!r}; Keras knows {', '.join(_BACKENDS)}", field=_BACKEND)
    of_tensorflow = {"tensorflow"} if backend == "tensorflow" else set()
    if to_export:
        of_tensorflow |= {"tensorflow", "tf2onnx"}
    for module in ("keras", "matplotlib", *sorted(of_tensorflow)):
        require("training", module)
    if importlib.util.find_spec(backend) is None:
        raise FailedPrecondition(f"{_BACKEND} is {backend!r}, which is not installed: pip install {backend}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        with _quiet():
            importlib.import_module("keras")


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, what is written to standard error is lost, unless an exception ends it.

    What TensorFlow writes when it is imported heeds no level, and does not go through Python.
    """
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as notes:
        kept = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
