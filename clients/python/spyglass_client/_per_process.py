"""What a forked process must not share with its parent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Something that is opened when it is first asked for, and again in a process forked from this one.

    A forked child has the objects of its parent but none of the threads that serve them.
    """

    def __init__(self, open_it: Callable[[], T]) -> None:
        self._open_it = open_it
        self._opened: tuple[int, T] | None = None
        self._closed = False

    def get(self) -> T:
        """This process's own. Raises RuntimeError once closed."""
        if self._closed:
            raise RuntimeError("the client is closed")
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            self._opened = opened = (os.getpid(), self._open_it())
        return opened[1]

    def close(self) -> T | None:
        """Gives away what this process has opened, for its taker to close; None where that is nothing."""
        self._closed = True
        opened, self._opened = self._opened, None
        return opened[1] if opened and opened[0] == os.getpid() else None
