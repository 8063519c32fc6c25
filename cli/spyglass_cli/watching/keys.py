"""Keys that a person presses while a command runs."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_QUIT = frozenset("qQ")


@contextmanager
def single_keys() -> Iterator[None]:
    """Deliver keys one by one and unseen inside the block, if standard input is a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    # Not on every system.
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def quit_within(seconds: float) -> bool:
    """Wait for `seconds`; return True at once if somebody presses q."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            key = sys.stdin.read(1)
            # No key: the terminal is gone.
            if key in _QUIT or not key:
                return True
    return False
