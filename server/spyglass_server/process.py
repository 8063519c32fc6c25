"""The server as a process: it handles signals and returns an exit code."""

from __future__ import annotations

import logging
import os
import signal
from threading import Thread, Timer
from types import FrameType

from spyglass_contract.errors import SpyglassError
from spyglass_server.engine.capacity.memory import return_large_blocks
from spyglass_server.logs import configure_logging
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

_log = logging.getLogger(__name__)

# After the grace: time for the calls that were cut off to get their status, in seconds.
_HARD_END_SECONDS = 2.0
# If Python itself cannot run any more, the system ends the process so much later, in seconds.
_ALARM_SECONDS = 3.0
# The longest that the thread takes to end when the models are loaded, in seconds.
_LOADED_SECONDS = 0.1
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    Return 0 after a clean end, also if a signal comes while models are loaded, and 1 if the server could not
    start. If requests do not end within the grace, the process ends with 128 + the number of the signal: 143
    after SIGTERM. If nothing in the process can run, SIGALRM ends it.
    """
    configure_logging(settings.log_format, settings.log_level)
    return_large_blocks()
    events = _Events()
    try:
        server = Server(settings)
    except SpyglassError as error:
        _log.error("%s", error.message)
        return 1
    loading = _Loading(server, events)
    loading.thread.start()
    number = events.wait()
    # A signal may come just when the models are loaded: then there are requests to drain.
    loading.thread.join(_LOADED_SECONDS)
    if loading.thread.is_alive():
        _end_hard(0.0, number)
        server.refuse()
        _log.info("stopped while the models were loaded")
        # ONNX Runtime cannot be interrupted, and Python would wait for it.
        _exit(0)
    if loading.failed:
        server.stop(grace=0)
        return 1
    while number == _Events.LOADED:
        number = events.wait()
    _end_hard(settings.grace_seconds, number)
    _log.info("draining for up to %g s", settings.grace_seconds)
    server.stop()
    _log.info("stopped")
    signal.setitimer(signal.ITIMER_REAL, 0)
    return 0


class _Loading:
    """Starts the server on a thread, so that a signal is heard meanwhile."""

    def __init__(self, server: Server, events: _Events) -> None:
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
        self._events.put(_Events.LOADED)


class _Events:
    """The end of loading, and the first signal; the second signal ends the process at once.

    Python runs a signal handler between two steps of the main thread. A signal that comes just before the
    main thread starts to wait for an event would be missed; the byte that Python writes into a pipe is not.
    """

    LOADED = 0

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._received = False
        signal.set_wakeup_fd(self._writer)
        for number in _SIGNALS:
            # A parent that ignores SIGHUP, such as nohup, wants the server to outlive its terminal.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def put(self, event: int) -> None:
        os.write(self._writer, bytes([event]))

    def wait(self) -> int:
        """Return LOADED or the number of a signal."""
        return next(iter(os.read(self._reader, 1)))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            _exit(128 + number)
        self._received = True


def _end_hard(grace: float, number: int) -> None:
    """End the process after the grace, whatever still runs."""

    def end() -> None:
        _log.error("requests did not end within %g s: the process ends without them", grace)
        _exit(128 + number)

    timer = Timer(grace + _HARD_END_SECONDS, end)
    timer.daemon = True
    timer.start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, grace + _HARD_END_SECONDS + _ALARM_SECONDS)


def _exit(code: int) -> None:
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(code)
