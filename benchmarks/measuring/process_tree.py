"""Processor time and memory of a server, with all processes that it started."""

from __future__ import annotations

from contextlib import suppress

import psutil


class ProcessTree:
    """A process and its descendants, as they are at each call."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def cpu_seconds(self) -> float:
        """Return the processor time of all processes that are alive, user and system."""
        total = 0.0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def resident_bytes(self) -> int:
        """Return the resident memory of all processes; pages that they share count for each."""
        total = 0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def proportional_bytes(self) -> int:
        """Return the memory of all processes; a page that several share counts for each by its part."""
        total = 0
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total

    def suspend(self) -> None:
        """Stop the processes (SIGSTOP), so that they cost nothing while another server is measured."""
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def resume(self) -> None:
        """Let the processes run again (SIGCONT)."""
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def end(self) -> None:
        """Terminate the processes, and kill those that are still there after five seconds."""
        processes = self._all()
        self.resume()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, alive = psutil.wait_procs(processes, timeout=5)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _all(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
