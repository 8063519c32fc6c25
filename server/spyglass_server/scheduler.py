"""The queue of one model: honest about deadlines, and never idle while something waits."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import DeadlineExceeded, Overloaded, Unavailable
from spyglass_server.call import Call

_SMOOTHING = 0.1


@dataclass(frozen=True)
class Answer:
    """One picture's share of a batch."""

    # float32, one row of the network's output.
    output: NDArray[np.float32]
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass
class _Entry:
    pixels: NDArray[np.uint8]
    call: Call
    future: Future[Answer]
    queued: float = field(default_factory=time.monotonic)


class Scheduler:
    """Runs `run` on `workers` threads, each taking its share of what waits, up to `max_batch` pictures.

    A free worker never waits for a batch to fill, and never takes what another free one could run at the
    same time. Entries whose caller is gone or whose deadline has passed are dropped as a batch is formed.
    """

    def __init__(
        self,
        run: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
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
        self, pixels: NDArray[np.uint8], call: Call, answered: Future[Answer] | None = None
    ) -> Future[Answer]:
        """Queues uint8 [height, width, channels]; the answer goes to `answered`, or a new future.

        Raises Overloaded where the call cannot be answered before its deadline, Unavailable once closed.
        """
        entry = _Entry(pixels, call, answered or Future())
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
            taken = [self._waiting.popleft() for _ in range(share)]
        return [entry for entry in taken if _still_wanted(entry)]

    def _answer(self, batch: list[_Entry]) -> None:
        started = time.monotonic()
        try:
            outputs = self._run(np.stack([entry.pixels for entry in batch]))
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
