"""Whether files have changed, without reading them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path

# Within this time a file can change twice and keep its times and its size: clocks of file systems are coarse.
_COARSE_SECONDS = 2.0


class WatchedFiles:
    """Files that are read again when they may have changed: written, replaced, linked or permitted anew."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._stamps: tuple[tuple[int, ...], ...] | None = None
        # When to read the files even if they look the same.
        self._again = math.inf

    def look(self) -> bool:
        """Return whether to read the files now: they may have changed since this last returned True.

        Call it before the files are read, so that it sees a change that comes meanwhile.
        """
        stamps = tuple(map(_stamp, self._paths))
        now = time.monotonic()
        if stamps == self._stamps and now < self._again:
            return False
        self._stamps = stamps
        is_fresh = any(stamp and stamp[-1] > time.time_ns() - _COARSE_SECONDS * 1e9 for stamp in stamps)
        self._again = now + _COARSE_SECONDS if is_fresh else math.inf
        return True

    def look_again(self) -> None:
        """Have the files read again soon, even if they do not change: they cannot be used yet."""
        self._again = time.monotonic() + _COARSE_SECONDS


def _stamp(path: Path) -> tuple[int, ...]:
    """Return what changes with the file; empty if it is missing. The last number is its time of change."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
