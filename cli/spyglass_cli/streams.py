"""Standard streams that are closed or cannot be written to."""

from __future__ import annotations

import errno
import io
import os
import sys

_DESCRIPTORS = (0, 1, 2)


class ClosedOutput(io.TextIOBase):
    """A standard output that was closed when the command started: to write to it is an OSError."""

    def write(self, text: str) -> int:
        """Raise OSError."""
        raise OSError(errno.EBADF, "standard output is closed")


def prepare() -> None:
    """Give closed standard streams a file, and let streams escape bytes of file names that are not text.

    Without that, the next file that the command opens would become the standard output, and Python would
    drop what is printed, or print errors into the output.
    """
    _fill_descriptors()
    if sys.stdout is None:
        sys.stdout = ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_error(line: str) -> None:
    """Print a line on standard error, if that is possible."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def flush() -> OSError | None:
    """Write what is buffered. Return the error of standard output; what it did not take is discarded."""
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    try:
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        return error
    return None


def _discard(stream: io.TextIOBase | object) -> None:
    """Send what is buffered nowhere: Python writes it when it ends, and would fail again."""
    if isinstance(stream, io.TextIOWrapper):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _fill_descriptors() -> None:
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            # The system takes the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
