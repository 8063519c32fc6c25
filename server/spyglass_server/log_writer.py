"""Lines to a file descriptor whose reader may be slow or gone."""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Thread

# POSIX: a pipe that is ready takes at least so many bytes at once, so the write does not block.
_CHUNK_BYTES = select.PIPE_BUF
_LOOK_MS = 250
_FLUSH_SECONDS = 1.0


class LogWriter:
    """Writes a line at once if that cannot block. Otherwise the line waits, up to a limit in bytes.

    A thread writes those that wait. So the thread of a request never waits for the reader of the log.
    """

    def __init__(self, descriptor: int, limit: int, dropped_line: Callable[[int], bytes]) -> None:
        """At most `limit` bytes of lines wait.

        `dropped_line` returns the line that says how many were dropped. It follows the lines that waited.
        """
        self._descriptor = descriptor
        self._limit = limit
        self._dropped_line = dropped_line
        # A write to a file takes what it takes.
        self._never_blocks = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._changed = Condition()
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._untold = 0
        self._thread: Thread | None = None
        self._closed = False
        self.dropped = 0
        """The number of lines that were dropped."""

    def write(self, line: bytes) -> None:
        """Write a line, with its line break, or let it wait, or drop it; does not block."""
        with self._changed:
            if self._waiting or not self._fits(line):
                self._put(line)
                return
            try:
                written = os.write(self._descriptor, line)
            # Somebody else has made the descriptor non-blocking.
            except BlockingIOError:
                written = 0
            # Nobody can read it any more.
            except OSError:
                self._drop()
                return
            if written < len(line):
                self._put(line[written:])

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until no line waits, for up to `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Drop the lines that wait, and write no more; does not close the descriptor."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread:
            thread.join()

    def _fits(self, line: bytes) -> bool:
        return self._never_blocks or (len(line) <= _CHUNK_BYTES and bool(self._ready.poll(0)))

    def _put(self, line: bytes) -> None:
        if self._closed or self._held + len(line) > self._limit:
            self._drop()
            return
        self._waiting.append(line)
        self._held += len(line)
        self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="log", daemon=True)
            self._thread.start()

    def _drop(self) -> None:
        self.dropped += 1
        self._untold += 1

    def _run(self) -> None:
        """Write the lines that wait, as their reader takes them."""
        ready = select.poll()
        ready.register(self._descriptor, select.POLLOUT)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                line = self._waiting[0]
            self._write_all(line, ready)
            with self._changed:
                self._waiting.popleft()
                self._held -= len(line)
                if self._untold and not self._waiting:
                    self._untold, dropped = 0, self._untold
                    self._put(self._dropped_line(dropped))
                self._changed.notify_all()

    def _write_all(self, line: bytes, ready: select.poll) -> None:
        """Write a line in parts, or drop the rest of it if nobody can read it any more."""
        rest = memoryview(line)
        while rest and not self._closed:
            if not ready.poll(_LOOK_MS):
                continue
            try:
                rest = rest[os.write(self._descriptor, rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                time.sleep(_LOOK_MS / 1000)
            except OSError:
                with self._changed:
                    self._drop()
                return
