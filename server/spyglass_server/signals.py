"""Signals and other events of a process, and its end."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Callable, Collection
from threading import Timer
from types import FrameType

_log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that end a server."""

# After the grace: time for the calls that were cut off to get their status, in seconds.
HARD_END_SECONDS = 2.0
# If Python itself cannot run any more, the system ends the process so much later, in seconds.
ALARM_SECONDS = 3.0


def exit_now(code: int) -> None:
    """End the process without waiting for its threads."""
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(code)


class Events:
    """What threads put, and the first signal; the second signal ends the process at once.

    Python runs a signal handler between two steps of the main thread. A signal that comes just before the
    main thread starts to wait for an event would be missed; the byte that Python writes into a pipe is not.
    """

    CHANGED = 0
    """An event of a thread, such as the end of loading."""

    def __init__(self, end: Callable[[int], None] = exit_now, ignored: Collection[int] = ()) -> None:
        """`end` gets the exit code after a second signal, 128 + its number; `ignored` signals do nothing."""
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._end = end
        self._received = False
        signal.set_wakeup_fd(self._writer)
        for number in SIGNALS:
            if number in ignored:
                signal.signal(number, signal.SIG_IGN)
            # A parent that ignores SIGHUP, such as nohup, wants the server to outlive its terminal.
            elif number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._stop)

    def put(self, event: int) -> None:
        """Add CHANGED or the number of a signal; from any thread."""
        os.write(self._writer, bytes([event]))

    def wait(self, seconds: float | None = None) -> int:
        """Return CHANGED or the number of a signal; CHANGED also if nothing comes for so many seconds."""
        if seconds is not None and not select.select([self._reader], [], [], max(0.0, seconds))[0]:
            return Events.CHANGED
        return next(iter(os.read(self._reader, 1)))

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            self._end(128 + number)
        self._received = True


def end_hard(grace: float, number: int) -> None:
    """End the process after the grace, whatever still runs, with 128 + the number of a signal."""

    def end() -> None:
        _log.error("requests did not end within %g s: the process ends without them", grace)
        exit_now(128 + number)

    timer = Timer(grace + HARD_END_SECONDS, end)
    timer.daemon = True
    timer.start()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, grace + HARD_END_SECONDS + ALARM_SECONDS)
