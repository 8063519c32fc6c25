"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spyglass_client import Credentials

if TYPE_CHECKING:
    from spyglass_server.settings import ServerSettings


@dataclass(frozen=True)
class Finding:
    """One line of the output. A server does not start, or does not serve, with a `fail`."""

    status: Literal["ok", "warn", "fail"]
    message: str
    # What to do; empty if there is nothing to do.
    advice: str = ""


@dataclass(frozen=True)
class Subject:
    """What is checked: a server with these settings on this machine, and one that runs if `target` is set."""

    settings: ServerSettings
    quick: bool = False
    # HOST:PORT of a running server; empty: none is asked.
    target: str = ""
    credentials: Credentials = field(default_factory=Credentials)
    seconds: float = 10.0
    # The folder that holds `proc` and `sys`.
    root: Path = Path("/")


Check = Callable[[Subject], Iterable[Finding]]


def ok(message: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding("ok", message)


def warn(message: str, advice: str) -> Finding:
    """Return a finding that a server can run with."""
    return Finding("warn", message, advice)


def fail(message: str, advice: str = "") -> Finding:
    """Return a finding that a server cannot run with. The advice may be in the message already."""
    return Finding("fail", message, advice)
