"""The queue of one model: honest about deadlines, and never idle while something waits."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from threading import Condition, Thread
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import DeadlineExceeded, Overloaded, Unavailable
from spyglass_server.engine.call import Call

_SMOOTHING = 0.1

Output = TypeVar("Output")

Run = Callable[[NDArray[np.uint8]], Iterable[Output]]
"""uint8 [batch, height, width, channels] to one output for each image, from any thread."""


@dataclass(frozen=True)
class Answer(Generic[Output]):
    """One image's share of a batch."""

    # Of the network, such as one row of its probabilities.
    output: Output
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(eq=False)
class _Entry:
    pixels: NDArray[np.uint8]
    call: Call
    future: Future[Answer[Any]]
    run: Run[Any]
    queued: float = field(default_factory=time.monotonic)


class Scheduler:
    """Runs `run` on `workers` threads, each taking its share of what waits, up to `max_batch` images.

    An entry may bring a `run` of its own; only entries whose runs are equal share a batch. A free worker
    never waits for a batch to fill, and never takes what another free one could run at the same time.
    Entries whose caller is gone or whose deadline has passed are dropped as a batch is formed.
    """

    def __init__(
        self,
        run: Run[Any],
        *,
        workers: int,
        max_batch: int,
        name: str,
    ) -> None:
        self.workers = workers
        self.max_batch = max_batch
        self._run = run
        self._waiting: deque[_Entry] = deque()
        self._changed = Condition()
        self._free = 0
        self._closed = False
        # Seconds that one batch takes, smoothed; 0 until the first one ran.
        self._batch_seconds = 0.0
        self._threads = [
            Thread(target=self._work, name=f"{name}-worker-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        pixels: NDArray[np.uint8],
        call: Call,
        answered: Future[Answer[Any]] | None = None,
        run: Run[Any] | None = None,
    ) -> Future[Answer[Any]]:
        """Queues uint8 [height, width, channels]; the answer goes to `answered`, or a new future.

        `run` runs it, None: what the scheduler was made with. Raises Overloaded where the call cannot be
        answered before its deadline, Unavailable once closed.
        """
        entry = _Entry(pixels, call, answered or Future(), run or self._run)
        with self._changed:
            if self._closed:
                raise Unavailable("the model is being unloaded", reason="DRAINING")
            self._refuse_hopeless(call)
            self._waiting.append(entry)
            self._changed.notify()
        return entry.future

    def close(self) -> None:
        """Runs what waits, then ends the workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _refuse_hopeless(self, call: Call) -> None:
        remaining = call.remaining()
        # Where a worker is free it is tried: after one slow batch nothing else could correct the estimate.
        if remaining is None or self._free > len(self._waiting):
            return
        batches_ahead = math.ceil((len(self._waiting) + 1) / (self.workers * self.max_batch))
        if batches_ahead * self._batch_seconds > remaining:
            raise Overloaded(
                f"{remaining * 1000:.0f} ms are left and the queue takes longer",
                reason="DEADLINE_TOO_SHORT",
                retry_after=batches_ahead * self._batch_seconds,
            )

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            if batch:
                self._answer(batch)

    def _next_batch(self) -> list[_Entry] | None:
        """What one worker runs next: possibly nothing, where all were dropped; None when closed."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = min(self.max_batch, math.ceil(len(self._waiting) / self._free))
            self._free -= 1
            if not self._waiting:
                return None
            taken = self._take(share)
        return [entry for entry in taken if _still_wanted(entry)]

    def _take(self, share: int) -> list[_Entry]:
        """Those who wait the longest, up to `share`: the first of all, and who is run as it is."""
        first = self._waiting[0]
        taken = list(islice((entry for entry in self._waiting if entry.run == first.run), share))
        for entry in taken:
            self._waiting.remove(entry)
        return taken

    def _answer(self, batch: list[_Entry]) -> None:
        started = time.monotonic()
        try:
            outputs = batch[0].run(np.stack([entry.pixels for entry in batch]))
            answered = list(zip(batch, outputs, strict=True))
        # Whatever a runtime raises belongs to these callers; the worker lives on.
        except Exception as error:
            for entry in batch:
                entry.future.set_exception(error)
            return
        seconds = time.monotonic() - started
        self._batch_seconds += (_SMOOTHING if self._batch_seconds else 1.0) * (seconds - self._batch_seconds)
        for entry, output in answered:
            queue_ms = (started - entry.queued) * 1000
            entry.future.set_result(Answer(output, queue_ms, seconds * 1000, len(batch)))


def _still_wanted(entry: _Entry) -> bool:
    if not entry.future.set_running_or_notify_cancel():
        return False
    if entry.call.deadline is not None and entry.call.deadline <= time.monotonic():
        entry.future.set_exception(DeadlineExceeded("the deadline passed in the queue"))
        return False
    return True
