"""The end of a command: an exit code and one line of error, without a stack trace for bad input."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spyglass_cli.closed_streams import replace_closed_streams
from spyglass_contract.errors import InvalidInput, SpyglassError

FAILED = 1
USAGE = 2
# The exit codes that a shell reports for a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
BROKEN_PIPE = 141

_REPEAT_SECONDS = 1.0


def run(program: str, command: Callable[[], int]) -> int:
    """Run `command` and return its exit code; print SpyglassError and OSError as one line.

    Returns FAILED for these errors, USAGE for InvalidInput, INTERRUPTED after SIGINT, and BROKEN_PIPE if the
    reader of standard output ended first.
    """
    replace_closed_streams()
    # File names may hold bytes that are not valid text; print them escaped.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _interruptible():
            code = command()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python writes the buffered rest when it ends; without this, that fails again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (SpyglassError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
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
