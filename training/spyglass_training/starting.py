"""What can be known to be wrong with a run before it starts, and before its data is read."""

from __future__ import annotations

import importlib.util

import keras

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.errors import FailedPrecondition, InvalidInput
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.distribution import has_workers, is_chief
from spyglass_training.models import Architecture
from spyglass_training.options import TrainingOptions

# Keras can answer by others, but takes no gradients with them.
_BACKENDS = ("tensorflow", "jax", "torch")


def check_start(options: TrainingOptions, folder: RunFolder, *, resume: bool) -> None:
    """Raises InvalidInput where the folder is not free, or to resume where its run is finished, and
    FailedPrecondition where Keras's backend, or a run on several workers, lacks what is asked for."""
    if resume and has_workers():
        raise FailedPrecondition("only the first worker has a backup: a run of several cannot be resumed")
    _check_backend(options)
    if not is_chief():
        return
    if resume and folder.record.exists():
        raise InvalidInput(f"the run in {folder.path} is finished", field="resume")
    if not resume or not folder.path.is_dir():
        folder.check_free()


def check_network(architecture: Architecture) -> None:
    """Builds the network once and forgets it: its choices, its input and its weights are looked at.

    Raises what `Architecture.build` raises. For how many classes does not matter; with several workers, who
    must be in touch before anything is computed, nothing is built.
    """
    if has_workers():
        return
    architecture.build(architecture.input, 3 if architecture.task == TASK_SEGMENT else 2)
    # Layers without a name of their own are counted, and the network to be trained has the first numbers.
    keras.utils.clear_session()


def _check_backend(options: TrainingOptions) -> None:
    backend = keras.backend.backend()
    if backend not in _BACKENDS:
        raise FailedPrecondition(
            f"Keras's backend {backend} takes no gradients: set KERAS_BACKEND to {', '.join(_BACKENDS)}"
        )
    if not options.tensorboard:
        return
    if backend != "tensorflow":
        raise FailedPrecondition("only Keras's TensorFlow backend writes for TensorBoard")
    if importlib.util.find_spec("tensorboard") is None:
        raise FailedPrecondition("TensorBoard is a package of its own: pip install tensorboard")
