"""One machine, or several that train one network together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras

from spyglass_contract.errors import FailedPrecondition, InvalidInput

# TensorFlow's own: which machines there are, and which of them this one is.
_CLUSTER = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["one:2222", "two:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Worker:
    """Which of several this process is."""

    kind: str
    index: int


def this_worker() -> Worker | None:
    """As `TF_CONFIG` has it; None where it is not set or names no cluster. Raises InvalidInput."""
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
            f"{_CLUSTER} does not say which of which workers this is; it is such as {_EXAMPLE}",
            field=_CLUSTER,
        ) from error
    return worker


@contextmanager
def distributed() -> Iterator[None]:
    """Within, networks are built for all workers that `TF_CONFIG` names; without it, for this process alone.

    Each worker runs the same command. Raises FailedPrecondition where Keras has another backend than
    TensorFlow, InvalidInput where the variable is not understood.
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
    """Whether this process is one of several. Raises InvalidInput."""
    return this_worker() is not None


def is_chief() -> bool:
    """Whether this process writes the run folder: one of all the workers does. Raises InvalidInput."""
    worker = this_worker()
    return worker is None or worker.kind == "chief" or worker == Worker("worker", 0)
