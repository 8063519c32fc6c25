"""The thread of gRPC's events, which runs light jobs between them. Uses private names of grpcio.

grpcio's own loop does nothing but events. A thread that would do the work must be woken, and competes with
the loop for the interpreter: for a tiny request that costs more than the work. If a version of grpcio has
other names, its own loop runs, and workers do all jobs.
"""

from __future__ import annotations

import logging
import time
from threading import Thread
from typing import Any, Protocol

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

_log = logging.getLogger(__name__)

_NAMES = (
    "_ServerStage",
    "_begin_shutdown_once",
    "_process_event_and_continue",
    "_request_call",
    "_request_registered_call",
)
_POLL_SECONDS = 1.0
# Light jobs wait for so many events at most: a flood of calls that need no work has no end.
_EVENTS_AHEAD = 32


class Lead(Protocol):
    """What the loop needs of `engine.scheduling.lead.Lead`."""

    @property
    def wanted(self) -> bool:
        """Whether `run` should be called when there are no events."""

    @property
    def is_mine(self) -> bool:
        """Whether this thread still leads."""

    def begin(self, replace: Any) -> None:
        """Make this thread the leader; `replace` starts another one."""

    def run(self) -> None:
        """Run some light jobs."""

    def end(self) -> None:
        """Have no leader any more, if this thread is it."""


def start(server: grpc.Server, lead: Lead) -> None:
    """Start a gRPC server whose loop leads. Raises the errors of `grpc.Server.start`."""
    state = getattr(server, "_state", None)
    if state is None or not all(hasattr(_server, name) for name in _NAMES):
        server.start()
        return
    # As grpcio's `_start` does.
    with state.lock:
        if state.stage is not _server._ServerStage.STOPPED:
            raise ValueError("the server has been started")
        state.server.start()
        state.stage = _server._ServerStage.STARTED
        for method in state.registered_method_handlers:
            _server._request_registered_call(state, method)
        _server._request_call(state)
    _start_loop(state, lead)


def _start_loop(state: Any, lead: Lead) -> None:
    Thread(target=_loop, args=(state, lead), name="grpc-events", daemon=True).start()


def _loop(state: Any, lead: Lead) -> None:
    """Handle events until the server stops, or until another thread does."""
    lead.begin(lambda: _start_loop(state, lead))
    ahead = 0
    while lead.is_mine:
        # A time in the past: a poll until now would sleep for up to a millisecond.
        event = state.completion_queue.poll(0 if lead.wanted else time.time() + _POLL_SECONDS)
        if state.server_deallocated:
            _server._begin_shutdown_once(state)
        idle = event.completion_type == cygrpc.CompletionType.queue_timeout
        if not idle and not _goes_on(state, event):
            lead.end()
        ahead = 0 if idle else ahead + 1
        if lead.wanted and lead.is_mine and (idle or ahead >= _EVENTS_AHEAD):
            ahead = 0
            lead.run()
        # As in grpcio: an event may hold the last reference to a call.
        event = None


def _goes_on(state: Any, event: Any) -> bool:
    """Handle an event; return False if it was the last one. One that fails does not end the loop."""
    try:
        return bool(_server._process_event_and_continue(state, event))
    except Exception:
        _log.exception("an event of a call could not be handled")
        return True
