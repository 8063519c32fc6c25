"""The supervisor: it holds the port, and starts, replaces and ends the worker processes."""

from __future__ import annotations

import logging
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from spyglass_contract.errors import SpyglassError
from spyglass_server.exposed import warn_if_exposed
from spyglass_server.logs import configure_logging
from spyglass_server.settings import ServerSettings
from spyglass_server.signals import ALARM_SECONDS, HARD_END_SECONDS, Events, exit_now
from spyglass_server.supervising.changes import Changes
from spyglass_server.supervising.control import ControlServer
from spyglass_server.supervising.crew import Crew, WorkerFailed
from spyglass_server.supervising.held_port import held_port
from spyglass_server.supervising.pages import Pages
from spyglass_server.supervising.parts import part_of
from spyglass_server.supervising.task import Task, supervisor_socket, worker_socket
from spyglass_server.supervising.worker_process import WorkerProcess

_log = logging.getLogger(__name__)

# After the time in which each worker ends by itself, the supervisor kills it, in seconds.
_KILL_SECONDS = HARD_END_SECONDS + ALARM_SECONDS + 1.0
# The longest path of a Unix socket in bytes, without the zero at its end, and the longest name in the folder.
_LONGEST_PATH, _LONGEST_NAME = 107, len("/supervisor")


def supervise(settings: ServerSettings) -> int:
    """Serve with `settings.workers` processes until SIGTERM, SIGINT or SIGHUP.

    Return 0 after a clean end, 1 if the server could not start, and 128 + the number of the signal if a
    worker did not end cleanly within the grace. A second signal ends all processes at once.
    """
    configure_logging(settings.log_format, settings.log_level)
    try:
        with ExitStack() as resources:
            host, http_port = settings.effective_host, settings.http_port
            port = resources.enter_context(held_port(host, settings.port))
            if http_port is not None:
                http_port = resources.enter_context(held_port(host, http_port, "HTTP"))
            folder = resources.enter_context(_private_folder())
            warn_if_exposed(settings)
            supervisor = _Supervisor(settings, part_of(settings, port, http_port), folder)
            resources.callback(supervisor.stop)
            return supervisor.run()
    except SpyglassError as error:
        _log.error("%s", error.message)
        return 1


class _Supervisor:
    """The main thread of the supervisor."""

    def __init__(self, settings: ServerSettings, part: ServerSettings, folder: Path) -> None:
        """`part` are the settings of each worker.

        Raises ListenError if the port of the metrics cannot be bound.
        """
        self._grace = settings.grace_seconds
        self._part = part
        self._folder = folder
        self._events = Events(self._end_now)
        self._crew = Crew(settings.workers, self._start, self._ended)
        self._pages = Pages(settings, self._crew, folder)
        self._changes: Changes | None = None
        self._control: ControlServer | None = None
        if settings.admin:
            self._changes = Changes(folder)
            self._control = ControlServer(supervisor_socket(folder), self._changes.methods)

    def run(self) -> int:
        """Serve until a signal, and return the exit code."""
        self._pages.start()
        number = Events.CHANGED
        try:
            while number == Events.CHANGED:
                number = self._events.wait(self._crew.look())
        except WorkerFailed as failed:
            _log.error("%s", failed)
            self._drain(signal.SIGTERM)
            return 1
        _log.info("draining %d workers for up to %g s", len(self._crew.running), self._grace)
        clean = self._drain(number)
        _log.info("stopped")
        return 0 if clean else 128 + number

    def stop(self) -> None:
        """Serve no more metrics, and make no more changes."""
        self._pages.stop()
        if self._changes:
            self._changes.close()
        if self._control:
            self._control.stop()

    def _start(self, number: int) -> WorkerProcess:
        process = WorkerProcess(
            Task(number, self._part, self._folder), lambda: self._events.put(Events.CHANGED)
        )
        _log.info("worker %d is process %d", number, process.pid)
        return process

    def _ended(self, number: int) -> None:
        self._pages.forget(number)
        if self._changes:
            self._changes.forget(number)
        worker_socket(self._folder, number).unlink(missing_ok=True)

    def _drain(self, number: int) -> bool:
        """End all workers as after a signal, and return whether each of them ended with exit code 0."""
        processes = self._crew.running
        for process in processes:
            process.drain(number)
        ends = time.monotonic() + self._grace + _KILL_SECONDS
        while any(process.code is None for process in processes):
            if time.monotonic() >= ends:
                for process in processes:
                    process.kill()
                return False
            self._events.wait(ends - time.monotonic())
        return all(process.code == 0 for process in processes)

    def _end_now(self, code: int) -> None:
        for process in self._crew.running:
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        exit_now(code)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a new folder that only this user may open, with a path short enough for Unix sockets."""
    name = tempfile.mkdtemp(prefix="spyglass-")
    if len(name.encode()) + _LONGEST_NAME > _LONGEST_PATH:
        shutil.rmtree(name)
        name = tempfile.mkdtemp(prefix="spyglass-", dir="/tmp")
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
