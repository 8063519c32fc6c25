"""What OpenTelemetry logs about the collector, as at most one line a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

_LIBRARY = logging.getLogger("opentelemetry")
# Others log what callers sent, such as a malformed tracestate.
_SHOWN = ("opentelemetry.exporter", "opentelemetry.sdk")
_SECONDS = 60.0
_MAX_CHARACTERS = 300


class CollectorLog(logging.Handler):
    """Takes the place of the library's own log lines from `open` to `close`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self._next = -1.0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record of the library as a line of ours, unless there was one within a minute."""
        if not record.name.startswith(_SHOWN):
            return
        now = self._clock()
        if now < self._next:
            self._left_out += 1
            return
        text = record.getMessage().encode("unicode_escape").decode()[:_MAX_CHARACTERS]
        more = f" ({self._left_out} more such lines were left out)" if self._left_out else ""
        self._next, self._left_out = now + _SECONDS, 0
        _log.warning("traces get lost: %s%s", text, more)

    def open(self) -> None:
        """Take the library's lines from now on."""
        _LIBRARY.addHandler(self)
        _LIBRARY.propagate = False

    def close(self) -> None:
        """Let the library log by itself."""
        _LIBRARY.removeHandler(self)
        _LIBRARY.propagate = True
        super().close()
