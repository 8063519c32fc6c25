"""A line on standard error if a server does not respond soon: clients wait for servers that are starting."""

from __future__ import annotations

import sys
from contextlib import closing
from threading import Timer

from spyglass_cli.asking.outcomes import Outcomes

# A running server gives the first result sooner than this, in seconds.
_SOON = 3.0


def with_notice(outcomes: Outcomes, server: str, seconds: float = _SOON) -> Outcomes:
    """Yield the same outcomes; print a line if the first one does not come within `seconds`."""
    timer = Timer(seconds, _print_notice, [server])
    timer.daemon = True
    timer.start()
    try:
        with closing(outcomes):
            for outcome in outcomes:
                timer.cancel()
                yield outcome
    finally:
        timer.cancel()


def _print_notice(server: str) -> None:
    print(f"waiting for the first result from {server}", file=sys.stderr, flush=True)
