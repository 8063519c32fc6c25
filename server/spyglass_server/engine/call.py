"""Who waits for an answer, and until when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from spyglass_contract.errors import Cancelled, DeadlineExceeded

T = TypeVar("T")


class Call:
    """One request's patience: its deadline, and whether its caller is still there.

    `deadline` is in seconds of `time.monotonic()`, None: none. A `patient` call waits for room where others
    are refused: images of a stream, whose flow control already holds their sender back.
    """

    def __init__(self, deadline: float | None = None, *, patient: bool = False) -> None:
        self.deadline = deadline
        self.patient = patient
        self.cancelled = False
        self._lock = Lock()
        self._callbacks: list[Callable[[], object]] = []

    def remaining(self) -> float | None:
        """Seconds left, None: no deadline. Raises DeadlineExceeded and Cancelled where there is no more."""
        if self.cancelled:
            raise Cancelled("the caller went away")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the deadline passed before the answer was ready")
        return left

    def cancel(self) -> None:
        """The caller is gone: what waits for it is dropped."""
        with self._lock:
            self.cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def on_cancel(self, callback: Callable[[], object]) -> Iterator[None]:
        """Has `callback` run, in the canceller's thread, if the caller goes while the block runs."""
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
        """The future's result, if it comes in time. Raises DeadlineExceeded, Cancelled and what it raises."""
        with self.on_cancel(future.cancel):
            try:
                return future.result(timeout=self.remaining())
            except CancelledError as error:
                raise Cancelled("the caller went away") from error
            except TimeoutError as error:
                raise DeadlineExceeded("the deadline passed before the answer was ready") from error
            finally:
                future.cancel()
