"""Standard streams that the caller of a program has closed, as cron and some supervisors do."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO, cast


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
        sys.stdin = _text("standard input")
    if sys.stdout is None:
        sys.stdout = _text("standard output")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _text(name: str) -> TextIO:
    # A text stream as far as anyone uses it here.
    stream: Any = _ClosedText(name)
    return cast(TextIO, stream)


class _ClosedText(io.TextIOBase):
    """Keeps nothing that Python would write when it ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.buffer = _ClosedBytes(name)

    def read(self, size: int | None = -1) -> str:
        raise OSError(f"{self._name} is closed")

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        raise OSError(f"{self._name} is closed")

    def write(self, text: str) -> int:
        raise OSError(f"{self._name} is closed")


class _ClosedBytes(io.RawIOBase):
    def __init__(self, name: str) -> None:
        self._name = name

    def readinto(self, buffer: object) -> int:
        raise OSError(f"{self._name} is closed")

    def read(self, size: int = -1) -> bytes:
        raise OSError(f"{self._name} is closed")

    def write(self, data: object) -> int:
        raise OSError(f"{self._name} is closed")
