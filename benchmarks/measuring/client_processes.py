"""Processes that send the calls of a benchmark; they start once, because their imports take a second."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

Part = TypeVar("Part")

_NICENESS = -10


class ClientProcesses:
    """A fixed number of processes; each of them runs one part of a load."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool = pool
        self.count = count

    def start(self, run: Callable[..., Part], parts: Sequence[tuple[Any, ...]]) -> list[Future[Part]]:
        """Start `run(*part)` in a process for each part. Raises ValueError if there are too few processes."""
        if len(parts) > self.count:
            raise ValueError(f"{len(parts)} parts need as many client processes, not {self.count}")
        return [self._pool.submit(run, *part) for part in parts]


@contextmanager
def client_processes(count: int) -> Iterator[ClientProcesses]:
    """Start `count` client processes with everything imported, and end them afterwards.

    If this user may, they run before other processes, as if they had a machine of their own: a client that
    waits for a processor would send late, and count the wait as the server's.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_run_first) as pool:
        # A task that lasts keeps its process busy, so that every process gets one.
        list(pool.map(_warm_up, range(count)))
        yield ClientProcesses(pool, count)


def _run_first() -> None:
    with suppress(PermissionError):
        os.nice(_NICENESS)


def _warm_up(_: int) -> None:
    import measuring.closed_loop

    assert measuring.closed_loop.run_closed_loop
    time.sleep(0.5)


def shares(total: int, count: int) -> list[int]:
    """Return `total` callers spread over at most `count` processes, each with at least one."""
    used = min(total, count)
    share, rest = divmod(total, used)
    return [share + (index < rest) for index in range(used)]
