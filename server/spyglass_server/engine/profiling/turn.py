"""One measurement at a time, among processes of the same server."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from spyglass_server.engine.profiling.quiet import Stopped

_LOOK_SECONDS = 0.1


@contextmanager
def turn(lock: Path | None, stopped: Event, ends: float) -> Iterator[None]:
    """Keep others that use the file `lock` out of the block; None: there are no others.

    At `ends`, in seconds of `time.monotonic()`, the block runs all the same: another process may wait with
    the lock until it has no requests. Raises Stopped if `stopped` is set before the block.
    """
    if lock is None:
        yield
        return
    with lock.open("w") as file:
        while time.monotonic() < ends:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopped.wait(_LOOK_SECONDS):
                    raise Stopped from None
        yield
