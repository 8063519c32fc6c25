"""Resources that a forked process must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A resource that is opened at its first use, and again in a process forked from this one.

    A forked child has the objects of its parent, but none of the threads that they need.
    """

    def __init__(self, open_it: Callable[[], T]) -> None:
        self._open_it = open_it
        self._opened: tuple[int, T] | None = None
        self._closed = False

    def get(self) -> T:
        """Return the resource of this process. Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError("the client is closed")
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            self._opened = opened = (os.getpid(), self._open_it())
        return opened[1]

    def close(self) -> T | None:
        """Return the resource of this process, for the caller to close; None if it was not opened."""
        self._closed = True
        opened, self._opened = self._opened, None
        return opened[1] if opened and opened[0] == os.getpid() else None
