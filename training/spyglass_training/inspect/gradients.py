"""What can only be had through TensorFlow: gradients by the values inside of a network."""

from __future__ import annotations

import keras

from spyglass_contract.errors import FailedPrecondition


def require_tensorflow() -> None:
    """Raises FailedPrecondition where Keras runs on another backend."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise FailedPrecondition(
            f"Keras runs on {backend}; gradients are taken with TensorFlow: unset KERAS_BACKEND",
            reason="BACKEND_NOT_TENSORFLOW",
        )
