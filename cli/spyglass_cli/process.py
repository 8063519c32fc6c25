"""How a command ends: with an exit code and a line for people, never with a stack trace for bad input."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from spyglass_contract.errors import InvalidInput, SpyglassError

FAILED = 1
USAGE = 2
# As a shell reports a program that SIGINT or SIGPIPE ended.
INTERRUPTED = 130
NOBODY_READS = 141

_AGAIN_SECONDS = 1.0


def run(program: str, command: Callable[[], int]) -> int:
    """The exit code of `command`, which may raise what a person can act on."""
    # Names of files may hold bytes that are no text; they are shown, not stumbled over.
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
        # What is still buffered would be written, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
    except (SpyglassError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return USAGE if isinstance(error, InvalidInput) else FAILED


@contextmanager
def _interruptible() -> Iterator[None]:
    """Inside, SIGINT raises KeyboardInterrupt until it gets through.

    One that is raised where C code calls Python back is lost, and the command would go on.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
        raise KeyboardInterrupt

    # A shell that starts a command in the background has it ignore SIGINT.
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
