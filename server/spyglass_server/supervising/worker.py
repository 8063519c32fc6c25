"""The main module of a worker process: `python -m spyglass_server.supervising.worker DESCRIPTOR`.

Standard input has the task, and then the number of the signal after which the process should end. It closes
when the supervisor ends, however that happens.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from threading import Thread
from typing import IO

from spyglass_server.logs import configure_logging
from spyglass_server.process import run
from spyglass_server.server import Server
from spyglass_server.signals import Events
from spyglass_server.supervising.control import ControlServer
from spyglass_server.supervising.families import families_of, to_bytes
from spyglass_server.supervising.task import Task, supervisor_socket
from spyglass_server.supervising.worker_process import READY


def main() -> int:
    """Serve until the supervisor says otherwise; return what `process.serve` does."""
    ready = int(sys.argv[1])
    # Nothing that this process starts may hold the pipe open.
    os.set_inheritable(ready, False)
    # Without a buffer, whose lock Python would want at its end from the thread that waits.
    orders = open(0, "rb", buffering=0, closefd=False)
    try:
        task = Task.read(orders)
    except EOFError:
        return 1
    settings = task.settings
    configure_logging(settings.log_format, settings.log_level, {"worker": task.number})
    # A terminal sends these to all processes: the supervisor decides.
    events = Events(ignored=(signal.SIGINT, signal.SIGHUP))
    supervised = _Supervised(task, ready)
    Thread(target=_obey, args=(orders, events, supervised), name="orders", daemon=True).start()
    try:
        return run(supervised.build, settings.grace_seconds, events, supervised.serving)
    finally:
        supervised.end()


class _Supervised:
    """The server of this process, and its private socket."""

    def __init__(self, task: Task, ready: int) -> None:
        self._task = task
        self._ready = ready
        self._control: ControlServer | None = None
        self.orphaned = False
        """Whether the supervisor has ended before this process."""

    def build(self) -> Server:
        """Make the server, and respond to private calls about it."""
        server = Server(self._task.settings, shares_port=True)

        def metrics(request: bytes) -> bytes:
            return to_bytes(families_of(server.metrics) if server.metrics else [])

        self._control = ControlServer(self._task.socket, {"Metrics": metrics})
        return server

    def serving(self) -> None:
        """Tell the supervisor that this process serves."""
        # Without a supervisor, the process ends soon.
        with suppress(BrokenPipeError):
            os.write(self._ready, READY)

    def end(self) -> None:
        """Respond to no more private calls; the last process of a killed supervisor cleans up."""
        if self._control:
            self._control.stop()
        if self.orphaned:
            with suppress(OSError):
                supervisor_socket(self._task.folder).unlink(missing_ok=True)
                self._task.folder.rmdir()


def _obey(orders: IO[bytes], events: Events, supervised: _Supervised) -> None:
    """Wait for the order to end, or for the end of the supervisor."""
    order = orders.read(1)
    supervised.orphaned = not order
    events.put(order[0] if order else signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
