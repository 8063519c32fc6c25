"""The main module of a worker process: `python -m spyglass_server.supervising.worker DESCRIPTOR`.

Standard input has the task, and then the number of the signal after which the process should end. It closes
when the supervisor ends, however that happens.
"""

from __future__ import annotations

import os
import signal
import sys
from io import FileIO
from threading import Thread

from spyglass_server.logs import configure_logging
from spyglass_server.process import run
from spyglass_server.signals import Events
from spyglass_server.supervising.supervised import Supervised
from spyglass_server.supervising.task import Task


def main() -> int:
    """Serve until the supervisor says otherwise; return what `process.serve` does."""
    ready = int(sys.argv[1])
    # Nothing that this process starts may hold the pipe open.
    os.set_inheritable(ready, False)
    # Without a buffer, whose lock Python would want at its end from the thread that waits.
    orders = FileIO(0, closefd=False)
    try:
        task = Task.read(orders)
    except EOFError:
        return 1
    settings = task.settings
    configure_logging(settings.log_format, settings.log_level, {"worker": task.number})
    # A terminal sends these to all processes: the supervisor decides.
    events = Events(ignored=(signal.SIGINT, signal.SIGHUP))
    supervised = Supervised(task, ready)
    Thread(target=_obey, args=(orders, events, supervised), name="orders", daemon=True).start()
    try:
        return run(supervised.build, settings.grace_seconds, events, supervised.serving)
    finally:
        supervised.end()


def _obey(orders: FileIO, events: Events, supervised: Supervised) -> None:
    """Wait for the order to end, or for the end of the supervisor."""
    order = orders.read(1)
    supervised.orphaned = not order
    events.put(order[0] if order else signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
