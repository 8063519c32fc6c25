"""The priority of threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Of two threads on one core the other gets nine tenths of the time.
_NICENESS = 10
_SWITCH_SECONDS = 0.0005


def give_way() -> None:
    """Let the calling thread give way to those of requests."""
    # Elsewhere a priority is that of the process, and would slow the requests, too.
    if sys.platform == "linux":
        os.nice(_NICENESS)


@contextmanager
def switching_often() -> Iterator[None]:
    """Let threads that wait for Python's lock get it after half a millisecond during a block, not after five.

    A request takes the lock several times. Beside a thread that runs Python for long, each time costs the
    interval. One thread at a time may use this.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
