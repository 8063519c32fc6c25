"""One worker process, as the supervisor sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from signal import Signals
from threading import Thread

from spyglass_server.supervising.task import Task

READY = b"R"
"""What a worker writes when it serves."""


class WorkerProcess:
    """A process that serves from its making on; a thread notices when it is ready, and when it has ended."""

    def __init__(self, task: Task, changed: Callable[[], None]) -> None:
        """Start the process; `changed` is called from another thread when `ready` or `code` changes."""
        self.number = task.number
        self.ready = False
        self.code: int | None = None
        """The exit code, negative for a signal; None: the process runs."""
        self._changed = changed
        reader, writer = os.pipe()
        try:
            # Not by a fork, which would copy the threads' locks. Without -P, Python would look for modules in
            # the working directory first.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "spyglass_server.supervising.worker", str(writer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[writer],
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        assert self._process.stdin
        self._orders = self._process.stdin
        Thread(target=self._watch, args=(reader,), name=f"worker-{self.number}", daemon=True).start()
        # It may have ended already; then `code` says so.
        with suppress(BrokenPipeError):
            task.write(self._orders)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def drain(self, number: int) -> None:
        """Let the process end as after the signal `number`."""
        with suppress(BrokenPipeError, ValueError):
            self._orders.write(bytes([number]))
            self._orders.flush()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    @property
    def end(self) -> str:
        """How the process ended, for people."""
        if self.code is None:
            return "it runs"
        return f"{Signals(-self.code).name}" if self.code < 0 else f"exit code {self.code}"

    def _watch(self, reader: int) -> None:
        """Wait for the word that the process serves, and for its end, at which the pipe closes."""
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while word := pipe.read(1):
                self.ready = word == READY
                self._changed()
        self.code = self._process.wait()
        with suppress(BrokenPipeError):
            self._orders.close()
        self._changed()
