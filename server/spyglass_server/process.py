"""The server as a process: it handles signals and returns an exit code."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from threading import Thread

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.capacity.memory import return_large_blocks
from spyglass_server.logs import configure_logging
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
from spyglass_server.signals import Events, end_hard, exit_now

_log = logging.getLogger(__name__)

# The longest that the thread takes to end when the models are loaded, in seconds.
_LOADED_SECONDS = 0.1
# Threads that run networks or load models, and that a server does not wait for when it ends.
_NATIVE_THREADS = ("loading", "profiler", "worker")


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    Return 0 after a clean end, also if a signal comes while models are loaded, and 1 if the server could not
    start. If requests do not end within the grace, the process ends with 128 + the number of the signal: 143
    after SIGTERM. If nothing in the process can run, SIGALRM ends it.
    """
    configure_logging(settings.log_format, settings.log_level)
    return run(lambda: Server(settings), settings.grace_seconds, Events())


def run(
    build: Callable[[], Server], grace: float, events: Events, serving: Callable[[], object] = lambda: None
) -> int:
    """Serve until `events` has the number of a signal; return what `serve` does.

    `serving` is called when the models are loaded.
    """
    return_large_blocks()
    try:
        server = build()
    except SpyglassError as error:
        _log.error("%s", error.message)
        return 1
    loading = _Loading(server, events)
    loading.thread.start()
    number = events.wait()
    # A signal may come just when the models are loaded: then there are requests to drain.
    loading.thread.join(_LOADED_SECONDS)
    if loading.thread.is_alive():
        end_hard(0.0, number)
        server.refuse()
        _log.info("stopped while the models were loaded")
        # ONNX Runtime cannot be interrupted, and Python would wait for it.
        exit_now(0)
    if loading.failed:
        server.stop(grace=0)
        return _ended(1)
    serving()
    while number == Events.CHANGED:
        number = events.wait()
    end_hard(grace, number)
    _log.info("draining for up to %g s", grace)
    server.stop()
    _log.info("stopped")
    signal.setitimer(signal.ITIMER_REAL, 0)
    return _ended(0)


def _ended(code: int) -> int:
    """Return the exit code, or end the process with it if a thread may still be in ONNX Runtime.

    Python would end such a thread inside of C++, which aborts the process.
    """
    if any(thread.name in _NATIVE_THREADS for thread in threading.enumerate()):
        exit_now(code)
    return code


class _Loading:
    """Starts the server on a thread, so that a signal is heard meanwhile."""

    def __init__(self, server: Server, events: Events) -> None:
        self.failed = False
        self.thread = Thread(target=self._run, name="loading", daemon=True)
        self._server = server
        self._events = events

    def _run(self) -> None:
        try:
            self._server.start()
        except SpyglassError as error:
            self.failed = True
            _log.error("%s", error.message)
        except BaseException:
            self.failed = True
            _log.exception("the server failed to start")
        self._events.put(Events.CHANGED)
