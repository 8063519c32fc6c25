"""Waiting for what other threads deliver, in a way that lets Python handle signals."""

from __future__ import annotations

import math
import time
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

# The longest wait before Python handles a signal, in seconds.
_SLICE = 0.5


def get_within(queue: SimpleQueue[T], seconds: float | None) -> T | None:
    """Return the next entry of `queue`, None if there is none within `seconds`; None: no limit.

    It waits in slices: Python handles a signal that one of gRPC's threads received between two slices.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        try:
            return queue.get(timeout=max(min(left, _SLICE), 0))
        except Empty:
            if left <= _SLICE:
                return None
