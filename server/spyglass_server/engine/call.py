"""One call: its deadline and its cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from threading import Event, Lock
from typing import TypeVar

from spyglass_contract.errors import Cancelled, DeadlineExceeded

T = TypeVar("T")


class Call:
    """The deadline of one call, and whether its caller has cancelled it.

    `deadline` is in seconds of `time.monotonic()`, None: no deadline. A `patient` call waits for a permit
    when others are refused: an image of a stream, whose flow control already holds its sender back.
    """

    def __init__(self, deadline: float | None = None, *, patient: bool = False) -> None:
        self.deadline = deadline
        self.patient = patient
        self.cancelled = False
        self._lock = Lock()
        self._callbacks: list[Callable[[], object]] = []

    def remaining(self) -> float | None:
        """Return the seconds left, None: no deadline. Raises DeadlineExceeded and Cancelled if it is over."""
        if self.cancelled:
            raise Cancelled("the caller cancelled the call")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the deadline passed before the response was ready")
        return left

    def cancel(self) -> None:
        """Mark the call as cancelled, and run the callbacks of `on_cancel`."""
        with self._lock:
            self.cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Run `callback`, in the thread that cancels, if the call is cancelled while the block runs."""
        with self._lock:
            self._callbacks.append(callback)
        try:
            if self.cancelled:
                callback()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

    def wait(self, future: Future[T]) -> T:
        """Return the result of a future, or stop to wait for it when the call ends.

        Raises DeadlineExceeded, Cancelled, and the future's own error.
        """
        ended = Event()
        future.add_done_callback(lambda _: ended.set())
        # A future that runs cannot be cancelled, but its caller need not wait.
        with self.on_cancel(ended.set):
            try:
                if not ended.wait(self.remaining()):
                    raise DeadlineExceeded("the deadline passed before the response was ready")
                if not future.done():
                    raise Cancelled("the caller cancelled the call")
                return future.result()
            except CancelledError as error:
                raise Cancelled("the caller cancelled the call") from error
            finally:
                future.cancel()
