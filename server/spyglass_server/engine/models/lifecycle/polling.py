"""Looks for changes of the stores from time to time."""

from __future__ import annotations

import logging
from threading import Event, Thread

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle

_log = logging.getLogger(__name__)


class Polling:
    """A thread that refreshes a lifecycle every `seconds`."""

    def __init__(self, lifecycle: Lifecycle, seconds: float) -> None:
        self._lifecycle = lifecycle
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="polling", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after a look in progress; may be called again, and before `start`."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self._lifecycle.refresh()
            # The catalog has logged it.
            except ModelError:
                continue
            # An error must not end all further looks.
            except Exception:
                _log.exception("the models could not be looked for")
