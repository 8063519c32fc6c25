"""The least busy of several equal things."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class LeastBusy(Generic[T]):
    """Equal things, such as the sessions of several GPUs; each use takes the one with the fewest uses."""

    def __init__(self, things: Sequence[T]) -> None:
        """Hold `things`, at least one."""
        self._things = list(things)
        self._uses = [0] * len(self._things)
        self._lock = Lock()

    @contextmanager
    def take(self) -> Iterator[T]:
        """Use the least busy thing; among equally busy ones the first."""
        with self._lock:
            chosen = min(range(len(self._uses)), key=self._uses.__getitem__)
            self._uses[chosen] += 1
        try:
            yield self._things[chosen]
        finally:
            with self._lock:
                self._uses[chosen] -= 1
