"""One request on its way: it waits, runs, and ends once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

from spyglass_contract.errors import Cancelled
from spyglass_server.engine.call import Call
from spyglass_server.engine.work import Work

_log = logging.getLogger(__name__)

Done = Callable[[object, Exception | None], object]
"""Gets the response and None, or None and the error. It runs in any thread and must not raise."""

_INTERACTIVE, _BULK = ("interactive", 10.0), ("bulk", 1.0)


def path_of(call: Call) -> tuple[tuple[Hashable, float], ...]:
    """Return the first levels of the flow of a call's jobs: all but the model."""
    return (
        _BULK if call.bulk else _INTERACTIVE,
        (call.caller.name, 1.0),
        (call.caller.connection, 1.0),
    )


class Job:
    """A work of a call. `end` ends it, once; later ends have no effect.

    `path` is its flow in the `FairQueue`: by priority, caller, connection and model. Priorities have
    weights, so that a bulk job waits for others, but not forever.
    """

    __slots__ = (
        "_done",
        "_release",
        "at_once",
        "batch_key",
        "call",
        "counted",
        "ended",
        "further_seconds",
        "light",
        "path",
        "queued",
        "seconds",
        "waiting",
        "work",
    )

    def __init__(
        self, work: Work, call: Call, done: Done, seconds: float, release: Callable[[Job], object]
    ) -> None:
        """`seconds` is the time that the work is expected to take. `release` is called before `done`."""
        self.work: Work | None = work
        self.call = call
        self.seconds = seconds
        self.path = (*path_of(call), (id(work.model), 1.0))
        # Jobs with equal keys may share a batch; None: it runs alone.
        self.batch_key: Hashable = (id(work.model), work.run) if work.model.max_batch > 1 else None
        self.queued = time.monotonic()
        self.ended = False
        # A worker was free for it when it came.
        self.at_once = False
        # In the queue.
        self.waiting = False
        # The expected seconds of the jobs that it will need.
        self.further_seconds = 0.0
        # Takes so little time that the thread which queues it may run it.
        self.light = False
        # Among the requests inside.
        self.counted = False
        self._done: list[Done] = [done]
        self._release = release

    def watch(self) -> None:
        """End the job when its call is cancelled."""
        self.call.on_cancel(self.cancel)
        if self.ended:
            self.call.forget(self.cancel)

    def end(self, response: object = None, error: Exception | None = None) -> None:
        """End the job with a response or an error."""
        try:
            # Only one thread can take it.
            done = self._done.pop()
        except IndexError:
            return
        self.ended = True
        # It holds the image.
        self.work = None
        self.call.forget(self.cancel)
        self._release(self)
        try:
            done(response, error)
        # This thread is a worker, or gRPC's own: it goes on.
        except Exception:
            _log.exception("the response of a request could not be sent")

    def cancel(self) -> None:
        """End the job because its caller cancelled the call."""
        self.end(error=Cancelled("the caller cancelled the call"))
