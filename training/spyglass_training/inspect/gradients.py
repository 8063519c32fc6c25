"""The check for gradients with respect to values inside a network, which need TensorFlow."""

from __future__ import annotations

import keras

from spyglass_contract.errors import FailedPrecondition


def require_tensorflow() -> None:
    """Raise FailedPrecondition if Keras runs on another backend."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise FailedPrecondition(
            f"Keras runs on {backend}, but gradients need TensorFlow: unset KERAS_BACKEND",
            reason="BACKEND_NOT_TENSORFLOW",
        )
