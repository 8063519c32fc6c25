"""Checks of a run before it starts and before its data is read."""

from __future__ import annotations

import importlib.util

import keras

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.errors import FailedPrecondition, InvalidInput
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.models import Architecture
from spyglass_training.run.distribution import has_workers, is_chief
from spyglass_training.run.options import TrainingOptions

# Keras has other backends, but they compute no gradients.
_BACKENDS = ("tensorflow", "jax", "torch")


def check_start(options: TrainingOptions, folder: RunFolder, *, resume: bool) -> None:
    """Check that a run can start.

    Raises InvalidInput if the folder is not empty, or if the run to resume is finished. Raises
    FailedPrecondition if Keras's backend cannot train or lacks an option, or if a run on several workers is
    to be resumed.
    """
    if resume and has_workers():
        raise FailedPrecondition(
            "a run on several workers cannot be resumed, because only the first has a backup"
        )
    _check_backend(options)
    if not is_chief():
        return
    if resume and folder.record.exists():
        raise InvalidInput(f"the run in {folder.path} is finished", field="resume")
    if not resume or not folder.path.is_dir():
        folder.check_free()


def check_network(architecture: Architecture) -> None:
    """Build the network once and discard it, to check its choices, its input and its weights.

    Raises the errors of `Architecture.build`. The number of classes does not matter. With several workers
    nothing is built, because they must connect before any computation.
    """
    if has_workers():
        return
    architecture.build(architecture.input, 3 if architecture.task == TASK_SEGMENT else 2)
    # Keras numbers layers without a name; the network to be trained gets the first numbers.
    keras.utils.clear_session()


def _check_backend(options: TrainingOptions) -> None:
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise FailedPrecondition(
            f"Keras's backend {backend} cannot train: set KERAS_BACKEND to one of {', '.join(_BACKENDS)}"
        )
    if not options.tensorboard:
        return
    if backend != "tensorflow":
        raise FailedPrecondition("--tensorboard needs Keras's TensorFlow backend: unset KERAS_BACKEND")
    if importlib.util.find_spec("tensorboard") is None:
        raise FailedPrecondition("TensorBoard is not installed: pip install tensorboard")
