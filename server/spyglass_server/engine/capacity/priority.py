"""The priority of threads."""

from __future__ import annotations

import os
import sys

# Of two threads on one core the other gets nine tenths of the time.
_NICENESS = 10


def give_way() -> None:
    """Let the calling thread give way to those of requests."""
    # Elsewhere a priority is that of the process, and would slow the requests, too.
    if sys.platform == "linux":
        os.nice(_NICENESS)
