"""Calls of libraries without timeouts, which are left behind if they do not return."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, TypeVar

from spyglass_server.engine.models.stores.failures import StoreError

Value = TypeVar("Value")

MAX_LEFT = 8


class Waiting:
    """Waits for calls in threads of their own, for a limited time. Safe to use from any thread.

    At most MAX_LEFT calls that took too long may be on their way; until one of them ends, further ones fail.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._left = 0
        self._pending: set[Future[Any]] = set()
        self._is_closed = False

    def close(self) -> None:
        """Let no call begin, and those on their way raise StoreError (SERVER_ENDS) at once."""
        with self._lock:
            self._is_closed = True
            pending = list(self._pending)
        for outcome in pending:
            # It may end just now.
            with suppress(InvalidStateError):
                outcome.set_exception(_ends())

    def within(self, seconds: float, work: Callable[[], Value]) -> Value:
        """Return what `work` returns. Raises its errors, TimeoutError after some seconds, and see `close`."""
        outcome: Future[Value] = Future()
        with self._lock:
            if self._is_closed:
                raise _ends()
            if self._left >= MAX_LEFT:
                raise TimeoutError(f"{self._left} earlier calls have not ended")
            self._pending.add(outcome)

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:
                with suppress(InvalidStateError):
                    outcome.set_exception(error)

        Thread(target=run, name="store", daemon=True).start()
        try:
            return outcome.result(seconds)
        except TimeoutError:
            if outcome.done():
                raise
            self._leave(outcome)
            raise TimeoutError(f"no response within {seconds:g} seconds") from None
        finally:
            with self._lock:
                self._pending.discard(outcome)

    def _leave(self, outcome: Future[Value]) -> None:
        with self._lock:
            self._left += 1
        outcome.add_done_callback(self._ended)

    def _ended(self, outcome: Future[Value]) -> None:
        with self._lock:
            self._left -= 1


def _ends() -> StoreError:
    return StoreError("the server ends", reason="SERVER_ENDS")
