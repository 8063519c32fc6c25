"""Jobs for a queue, and workers around a run that stops at a gate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from threading import Event, Semaphore
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.job import Job
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Run
from works import put, work_of

PATIENCE = 30


class PlainModel:
    """The part of a model that the workers use."""

    def __init__(self, max_batch: int = 1) -> None:
        self.max_batch = max_batch
        self.profile = None

    def widest(self, run: Run[Any]) -> Run[Any]:
        return run


class GatedRun:
    """Double the first pixel of each image; while the gate is closed, each run waits."""

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()
        # Released once for each batch that has arrived.
        self.entered = Semaphore(0)
        # The first pixel of each image, for each run.
        self.batches: list[list[int]] = []

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(pixels[:, 0, 0, 0].tolist())
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        return pixels[:, 0, 0, 0].astype(np.float32) * 2


def image(value: int) -> NDArray[np.uint8]:
    return np.full((2, 2, 1), value, np.uint8)


@pytest.fixture
def run() -> Iterator[GatedRun]:
    gated = GatedRun()
    yield gated
    gated.gate.set()


@pytest.fixture
def model() -> PlainModel:
    """A model whose largest batch is 1; a test may change it."""
    return PlainModel()


@pytest.fixture
def work(model: PlainModel, run: GatedRun) -> Callable[..., Any]:
    """Make the work of one image: `work(value)`, with the other arguments of `work_of`."""

    def make(value: int = 1, **changes: Any) -> Any:
        return work_of(image(value), changes.pop("model", model), changes.pop("run", run), **changes)

    return make


@pytest.fixture
def make_workers(run: GatedRun) -> Iterator[Callable[..., Workers]]:
    """Make workers, which end after the test: `make_workers(count=1, requests=1000, queue_seconds=inf)`."""
    made: list[Workers] = []

    def make(count: int = 1, requests: int = 1000, queue_seconds: float = math.inf) -> Workers:
        made.append(Workers(count, Bounds(requests, queue_seconds)))
        return made[-1]

    yield make
    run.gate.set()
    for workers in made:
        workers.close()


@pytest.fixture
def occupy(run: GatedRun, work: Callable[..., Any]) -> Callable[[Workers], list[Any]]:
    """Make every worker wait at the closed gate, each with one image of value 0; return their futures."""

    def make_busy(workers: Workers) -> list[Any]:
        run.gate.clear()
        run.entered = Semaphore(0)
        futures = []
        for _ in range(workers.count):
            futures.append(put(workers, work(0)))
            assert run.entered.acquire(timeout=PATIENCE)
        run.batches.clear()
        return futures

    return make_busy


@pytest.fixture
def make_job(work: Callable[..., Any]) -> Callable[..., Job]:
    """Make a job of a model, as a queue sees it: `make_job(Call(...), seconds=1.0, model=model)`."""

    def make(call: Call | None = None, seconds: float = 1.0, **changes: Any) -> Job:
        return Job(work(**changes), call or Call(), lambda response, error: None, seconds, lambda job: None)

    return make
