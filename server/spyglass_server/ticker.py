"""A thread that runs periodic tasks, such as time limits, a few times a second."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread

_log = logging.getLogger(__name__)

_SECONDS = 0.25


class Ticker:
    """Calls each of `tasks` every quarter of a second from `start` to `stop`."""

    def __init__(self, tasks: Sequence[Callable[[], object]]) -> None:
        self._tasks = tasks
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; may be called again, and before `start`."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            for task in self._tasks:
                try:
                    task()
                # An error must not stop the other tasks.
                except Exception:
                    _log.exception("a periodic task of the server failed")
