"""Standard streams that the caller of a program has closed, as cron and some supervisors do."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO


def replace_closed_streams() -> None:
    """Put a stream in place of each one that is closed: reading and writing it raises OSError.

    Lines for standard error are lost. The numbers 0 to 2 are taken, so that no socket gets one of them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given out: this one.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = _closed("standard input")
    if sys.stdout is None:
        sys.stdout = _closed("standard output")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _closed(name: str) -> TextIO:
    # The pair has everything that a text stream uses of its buffer.
    pair: Any = io.BufferedRWPair(_Closed(name), _Closed(name))
    return io.TextIOWrapper(pair, write_through=True)


class _Closed(io.RawIOBase):
    def __init__(self, name: str) -> None:
        self._name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise OSError(f"{self._name} is closed")

    def write(self, data: object) -> int:
        raise OSError(f"{self._name} is closed")
