"""The end of a command: an exit code and one line of error, without a stack trace for bad input."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spyglass_cli import streams
from spyglass_contract.errors import InvalidInput, SpyglassError

FAILED = 1
USAGE = 2
# The exit codes that a shell reports for a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
BROKEN_PIPE = 141

# The errors of a standard output that takes no more; unlike those of files, they name none.
_OF_OUTPUT = (errno.EBADF, errno.EIO, errno.ENOSPC)

_REPEAT_SECONDS = 1.0


def run(program: str, command: Callable[[], int]) -> int:
    """Run `command` and return its exit code; print SpyglassError and OSError as one line.

    Returns FAILED for these errors and for output that cannot be written, USAGE for InvalidInput, INTERRUPTED
    after SIGINT, and BROKEN_PIPE if the reader of standard output ended first.
    """
    streams.prepare()
    error: Exception | None = None
    try:
        with _interruptible():
            code = command()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit:
        # The parser has printed its help or an error.
        if unwritten := streams.flush():
            raise SystemExit(_report(program, unwritten)) from None
        raise
    except (SpyglassError, OSError) as raised:
        error, code = raised, _report(program, raised)
    unwritten = streams.flush()
    return code if unwritten is None or error else _report(program, unwritten)


def _report(program: str, error: SpyglassError | OSError) -> int:
    """Print an error, and return its exit code."""
    if isinstance(error, BrokenPipeError):
        return BROKEN_PIPE
    text = str(error)
    if isinstance(error, OSError) and error.filename is None and error.errno in _OF_OUTPUT:
        text = f"cannot write the output: {error.strerror}"
    streams.print_error(f"{program}: {text}")
    return USAGE if isinstance(error, InvalidInput) else FAILED


@contextmanager
def _interruptible() -> Iterator[None]:
    """Repeat the KeyboardInterrupt of a SIGINT every second until the block ends.

    Python loses an exception that is raised in a callback from C code, and the command would go on.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, _REPEAT_SECONDS)
        raise KeyboardInterrupt

    # A shell sets SIGINT to be ignored in a command that it starts in the background.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
