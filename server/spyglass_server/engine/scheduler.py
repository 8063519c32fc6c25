"""The queue of one model: it keeps deadlines, and no worker is idle while an image waits."""

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
_PURGE_LENGTH = 256

Output = TypeVar("Output")

Run = Callable[[NDArray[np.uint8]], Iterable[Output]]
"""Maps uint8 [batch, height, width, channels] to one output for each image; safe to call from any thread."""


@dataclass(frozen=True)
class Inference(Generic[Output]):
    """The output of the network for one image of a batch, and the times in milliseconds."""

    # For example one row of the network's probabilities.
    output: Output
    queue_ms: float
    inference_ms: float
    batch_size: int


@dataclass(eq=False)
class _Entry:
    pixels: NDArray[np.uint8]
    run: Run[Any]
    call: Call
    done: Future[Inference[Any]]
    queued: float = field(default_factory=time.monotonic)


class Scheduler:
    """Runs images on `workers` threads, in batches of up to `max_batch` images.

    Each entry brings its own `run`; only entries with equal runs go into one batch. A free worker never waits
    for a batch to fill, and leaves to the other free workers as many entries as it takes. When a worker forms
    a batch it drops the entries that were cancelled or whose deadline has passed.
    """

    def __init__(self, *, workers: int, max_batch: int, name: str) -> None:
        self.workers = workers
        self.max_batch = max_batch
        self._waiting: deque[_Entry] = deque()
        self._changed = Condition()
        # The length at which the queue is purged next.
        self._next_purge = _PURGE_LENGTH
        self._free = 0
        self._closed = False
        # Seconds that one batch takes, smoothed; 0 before the first batch.
        self._batch_seconds = 0.0
        self._threads = [
            Thread(target=self._work, name=f"{name}-worker-{n}", daemon=True) for n in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self, pixels: NDArray[np.uint8], run: Run[Output], call: Call, done: Future[Inference[Output]]
    ) -> None:
        """Queue uint8 [height, width, channels] for `run`; its output, or its error, goes to `done`.

        Raises Overloaded if the deadline of the call is too short for the queue, and Unavailable once closed.
        """
        with self._changed:
            if self._closed:
                raise Unavailable("the model is being unloaded", reason="DRAINING")
            self._check_deadline(call)
            if len(self._waiting) >= self._next_purge:
                self._purge()
            self._waiting.append(_Entry(pixels, run, call, done))
            self._changed.notify()

    def close(self) -> None:
        """Run the entries that wait, then end the workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _check_deadline(self, call: Call) -> None:
        """Raise Overloaded if the queue, by the measured time of a batch, takes too long for the call."""
        remaining = call.remaining()
        # A free worker always gets the entry: after one slow batch only a new batch can correct the estimate.
        if remaining is None or self._free > len(self._waiting):
            return
        batches_ahead = math.ceil((len(self._waiting) + 1) / (self.workers * self.max_batch))
        if batches_ahead * self._batch_seconds > remaining:
            raise Overloaded(
                f"the call has {remaining * 1000:.0f} ms left, and the queue takes longer",
                reason="DEADLINE_TOO_SHORT",
                retry_after=batches_ahead * self._batch_seconds,
            )

    def _purge(self) -> None:
        """Drop the entries whose callers have gone: if a network does not return, nobody else does."""
        self._waiting = deque(entry for entry in self._waiting if not entry.done.cancelled())
        self._next_purge = max(_PURGE_LENGTH, 2 * len(self._waiting))

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            if batch is None:
                return
            if batch:
                self._run_batch(batch)

    def _next_batch(self) -> list[_Entry] | None:
        """Return the entries that a worker runs next, [] if all were dropped, None once closed."""
        with self._changed:
            self._free += 1
            self._changed.wait_for(lambda: self._waiting or self._closed)
            count = min(self.max_batch, math.ceil(len(self._waiting) / self._free))
            self._free -= 1
            if not self._waiting:
                return None
            taken = self._take(count)
        return [entry for entry in taken if _is_live(entry)]

    def _take(self, count: int) -> list[_Entry]:
        """Take up to `count` of the oldest entries that use the first entry's `run`."""
        first = self._waiting[0]
        taken = list(islice((entry for entry in self._waiting if entry.run == first.run), count))
        for entry in taken:
            self._waiting.remove(entry)
        return taken

    def _run_batch(self, batch: list[_Entry]) -> None:
        started = time.monotonic()
        try:
            outputs = batch[0].run(np.stack([entry.pixels for entry in batch]))
            pairs = list(zip(batch, outputs, strict=True))
        # Every error of a runtime goes to the callers of this batch; the worker goes on.
        except Exception as error:
            for entry in batch:
                entry.done.set_exception(error)
            return
        seconds = time.monotonic() - started
        self._batch_seconds += (_SMOOTHING if self._batch_seconds else 1.0) * (seconds - self._batch_seconds)
        for entry, output in pairs:
            queue_ms = (started - entry.queued) * 1000
            entry.done.set_result(Inference(output, queue_ms, seconds * 1000, len(batch)))


def _is_live(entry: _Entry) -> bool:
    """Return whether an entry is neither cancelled nor late; a late one gets its error."""
    if not entry.done.set_running_or_notify_cancel():
        return False
    if entry.call.deadline is not None and entry.call.deadline <= time.monotonic():
        entry.done.set_exception(DeadlineExceeded("the deadline passed in the queue"))
        return False
    return True
