"""The resident memory of a server over time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from measuring.process_tree import ProcessTree


@contextmanager
def memory_curve(tree: ProcessTree, every: float) -> Iterator[list[tuple[float, float]]]:
    """Yield a list that gets (seconds since now, megabytes) every `every` seconds until the end."""
    curve: list[tuple[float, float]] = []
    ended = threading.Event()
    began = time.monotonic()

    def sample() -> None:
        while not ended.is_set():
            curve.append((round(time.monotonic() - began, 2), round(tree.resident_bytes() / 1e6, 1)))
            ended.wait(every)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield curve
    finally:
        ended.set()
        sampler.join()
