"""The processor time of calls in this process that are made one by one and by turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def times_by_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the processor time of each call in each round, in milliseconds, all threads together.

    Each round makes every call once, each time in another order. So other processes disturb all calls alike,
    and medians over many rounds can be compared on a busy machine, too.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(rounds):
        names = [*names[1:], names[0]]
        for name in names:
            before = time.process_time()
            calls[name]()
            found[name].append((time.process_time() - before) * 1e3)
    return found
