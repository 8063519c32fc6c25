"""The server as a process: it handles signals and returns an exit code."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType

from spyglass_contract.errors import SpyglassError
from spyglass_server.logs import configure_logging
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

_log = logging.getLogger(__name__)


def serve(settings: ServerSettings) -> int:
    """Serve until SIGTERM or SIGINT. Return 0 after a clean end, and 1 if the server could not start."""
    configure_logging(settings.log_format, settings.log_level)
    wait_for_signal = _on_signals()
    try:
        server = Server(settings)
    except SpyglassError as error:
        _log.error("%s", error.message)
        return 1
    try:
        server.start()
    except SpyglassError as error:
        _log.error("%s", error.message)
        server.stop(grace=0)
        return 1
    wait_for_signal()
    _log.info("draining for up to %g s", settings.grace_seconds)
    server.stop()
    _log.info("stopped")
    return 0


def _on_signals() -> Callable[[], object]:
    """Return a function that waits for the first SIGTERM or SIGINT; the second ends the process at once.

    Python runs a signal handler between two steps of the main thread. A signal that comes just before the
    main thread starts to wait for an event would be missed; the byte that Python writes into a pipe is not.
    """
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return partial(os.read, reader, 1)
