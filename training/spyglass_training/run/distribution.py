"""Training on one machine, or on several that train one network together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from spyglass_contract.errors import FailedPrecondition, InvalidInput

# TensorFlow's variable: the machines, and which of them this one is.
_CLUSTER = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Worker:
    """The role of this process among several."""

    kind: str
    index: int


def this_worker() -> Worker | None:
    """Return the worker that `TF_CONFIG` names, or None if it is not set or has no cluster.

    Raises InvalidInput.
    """
    text = os.environ.get(_CLUSTER, "")
    try:
        config = json.loads(text or "{}")
        if not config.get("cluster"):
            return None
        worker = Worker(config["task"]["type"], config["task"]["index"])
        _ = config["cluster"][worker.kind][worker.index]
        if worker.index < 0:
            raise IndexError(worker.index)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise InvalidInput(
            f"{_CLUSTER} must name the workers and this one, such as {_EXAMPLE}",
            field=_CLUSTER,
        ) from error
    return worker


@contextmanager
def distributed() -> Iterator[None]:
    """Build networks inside for all workers that `TF_CONFIG` names, or for this process alone.

    Each worker runs the same command. Raises FailedPrecondition if Keras has another backend than TensorFlow,
    and InvalidInput if the variable is invalid.
    """
    if not has_workers():
        yield
        return
    if keras.backend.backend() != "tensorflow":
        raise FailedPrecondition(
            "TF_CONFIG is set, but only Keras's TensorFlow backend trains on several workers"
        )
    from spyglass_training.run.workers import Workers

    with Workers().scope():
        yield


def has_workers() -> bool:
    """Return whether this process is one of several. Raises InvalidInput."""
    return this_worker() is not None


def is_chief() -> bool:
    """Return whether this process writes the run folder: exactly one worker does. Raises InvalidInput."""
    worker = this_worker()
    return worker is None or worker.kind == "chief" or worker == Worker("worker", 0)
