"""When a server is not well because its requests make no progress."""

from __future__ import annotations

STALL_SECONDS = 30.0
"""If requests wait and none has begun or ended for so long, the server is not well."""


def stall_problem(seconds: float) -> str:
    """Return what is wrong if nothing has begun or ended for so long; empty: nothing."""
    return f"no request has begun or ended for {seconds:.0f} s" if seconds > STALL_SECONDS else ""
