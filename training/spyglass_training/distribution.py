"""One machine, or several that train one network together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from spyglass_contract.errors import FailedPrecondition

# TensorFlow's own: which machines there are, and which of them this one is.
_CLUSTER = "TF_CONFIG"


@contextmanager
def distributed() -> Iterator[None]:
    """Within, networks are built for all workers that `TF_CONFIG` names; without it, for this process alone.

    Each worker runs the same command. Raises FailedPrecondition where Keras has another backend than
    TensorFlow.
    """
    if not has_workers():
        yield
        return
    if keras.backend.backend() != "tensorflow":
        raise FailedPrecondition(
            "only Keras's TensorFlow backend trains on several workers (TF_CONFIG is set)"
        )
    from spyglass_training.workers import Workers

    with Workers().scope():
        yield


def has_workers() -> bool:
    """Whether this process is one of several, or at least may be."""
    return _CLUSTER in os.environ


def is_chief() -> bool:
    """Whether this process writes the run folder: one of all the workers does."""
    task = json.loads(os.environ.get(_CLUSTER, "{}")).get("task", {})
    return task.get("type", "chief") == "chief" or (task["type"] == "worker" and task["index"] == 0)
