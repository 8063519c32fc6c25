"""Lines to a file descriptor, written by a thread of their own: nobody waits for the reader of the log."""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from threading import Condition, Thread

# Lines are collected for so long. A system call for each would cost a busy server more than to make the line:
# the thread of a request gives the interpreter away for it, and must wait to get it back.
_COLLECT_SECONDS = 0.05
_MANY_BYTES = 64 * 1024
_FLUSH_SECONDS = 1.0


class LogWriter:
    """Writes lines in their order, many at a time. Lines wait for a slow reader, up to a limit in bytes."""

    def __init__(
        self, descriptor: int, limit: int, dropped_line: Callable[[int], bytes], *, shared: bool = False
    ) -> None:
        """At most `limit` bytes of lines wait; further lines are dropped.

        `dropped_line` returns the line that says how many were dropped. It follows the lines that waited.
        `shared`: other processes write to the same pipe, so that lines must be written whole.
        """
        self._at_once = _whole_lines if shared else len
        self._descriptor = descriptor
        self._limit = limit
        self._dropped_line = dropped_line
        self._changed = Condition()
        self._waiting: list[bytes] = []
        # The bytes that wait, those that are being written included.
        self._held = 0
        self._untold = 0
        self._hurried = self._closed = False
        self._thread: Thread | None = None
        self.dropped = 0
        """The number of lines that were dropped."""

    def write(self, line: bytes, *, hurry: bool = False) -> None:
        """Let a line, with its line break, be written within 50 ms, or without delay; does not block."""
        with self._changed:
            if self._closed or self._held + len(line) > self._limit:
                self._drop()
                return
            self._waiting.append(line)
            self._held += len(line)
            hurried = self._hurried
            self._hurried = hurried or hurry or self._held > _MANY_BYTES
            # Otherwise the thread knows that it has lines to write.
            if len(self._waiting) == 1 or self._hurried != hurried:
                self._changed.notify_all()
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log", daemon=True)
                self._thread.start()

    def flush(self, seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until all lines are written, for up to `seconds`."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held, seconds)

    def close(self) -> None:
        """Write the lines that wait, for up to a second, and then no more; leaves the descriptor open."""
        self.flush()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while lines := self._next_lines():
            text = b"".join(lines)
            written = self._write(text)
            with self._changed:
                self._held -= len(text)
                if not written:
                    self._drop(len(lines))
                elif self._untold and not self._waiting:
                    self._untold, dropped = 0, self._untold
                    line = self._dropped_line(dropped)
                    self._waiting.append(line)
                    self._held += len(line)
                self._changed.notify_all()

    def _next_lines(self) -> list[bytes]:
        """Wait for lines, collect some, and return them; none: the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(lambda: self._hurried or self._closed, _COLLECT_SECONDS)
            self._hurried = False
            lines, self._waiting = self._waiting, []
            return [] if self._closed else lines

    def _drop(self, count: int = 1) -> None:
        self.dropped += count
        self._untold += count

    def _write(self, text: bytes) -> bool:
        """Write a text, however long its reader takes; False: nobody can read it any more."""
        rest = memoryview(text)
        while rest and not self._closed:
            try:
                rest = rest[os.write(self._descriptor, rest[: self._at_once(rest)]) :]
            # Somebody else has made the descriptor non-blocking.
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError:
                return False
        return not rest


def _whole_lines(text: memoryview) -> int:
    """Return the number of bytes to write at a time: as many lines as a pipe takes whole, or a longer line.

    Of more bytes, a pipe may take a part, and then something of another process.
    """
    if len(text) <= select.PIPE_BUF:
        return len(text)
    end = bytes(text[: select.PIPE_BUF]).rfind(b"\n") + 1
    return end or bytes(text).find(b"\n") + 1 or len(text)
