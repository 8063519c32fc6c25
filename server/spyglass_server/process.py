"""The server as a process: signals in, an exit code out."""

from __future__ import annotations

import logging
import os
import signal
from threading import Event
from types import FrameType

from spyglass_contract.errors import SpyglassError
from spyglass_server.logs import configure_logging
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

_log = logging.getLogger(__name__)


def serve(settings: ServerSettings) -> int:
    """Serves until SIGTERM or SIGINT; 0 after a clean end, 1 where the server could not start."""
    configure_logging(settings.log_format, settings.log_level)
    stopping = _on_signals()
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
    stopping.wait()
    _log.info("draining for up to %g s", settings.grace_seconds)
    server.stop()
    _log.info("stopped")
    return 0


def _on_signals() -> Event:
    """An event that the first SIGTERM or SIGINT sets; the second ends the process at once."""
    stopping = Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopping
