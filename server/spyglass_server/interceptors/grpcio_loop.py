"""The thread of gRPC's events, which runs light jobs between them. Uses private names of grpcio.

grpcio's own loop does nothing but events. A thread that would do the work must be woken, and competes with
the loop for the interpreter: for a tiny request that costs more than the work. If a version of grpcio has
other names, its own loop runs, and workers do all jobs.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, Protocol

import grpc
from grpc import _server
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from spyglass_server.interceptors.grpcio_calls import AnnouncedCall

_log = logging.getLogger(__name__)

_NAMES = (
    "_REQUEST_CALL_TAG",
    "_ServerStage",
    "_begin_shutdown_once",
    "_process_event_and_continue",
    "_request_call",
    "_request_registered_call",
)
_POLL_SECONDS = 1.0
# Calls that gRPC's core may announce before Python has seen the first of them. grpcio requests one call at a
# time. Then all others wait in the core in the order of their arrival, whoever their callers are.
_REQUESTED_CALLS = 64
# Jobs run after so long even if there are more events: events without end must not stop them.
_LONGEST_WAIT_SECONDS = 0.02


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


Refuse = Callable[[AnnouncedCall], bool]
"""Ends a call that would be refused anyway, and returns whether it has; must not block."""


def start(server: grpc.Server, lead: Lead, refuse: Refuse) -> None:
    """Start a gRPC server whose loop leads, and shows each call to `refuse` first.

    Raises the errors of `grpc.Server.start`.
    """
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
        state.due = _Tags(state.due)
        for _ in range(_REQUESTED_CALLS):
            _server._request_call(state)
    _start_loop(state, lead, refuse)


class _Tags:
    """The tags of the operations that are due. grpcio has a set here, which holds each tag once."""

    def __init__(self, tags: Iterable[object]) -> None:
        self._counts = Counter(tags)

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, tag: object) -> None:
        self._counts[tag] += 1

    def remove(self, tag: object) -> None:
        """Remove a tag once. Raises KeyError if it is not there."""
        if not self._counts[tag]:
            raise KeyError(tag)
        self._counts[tag] -= 1
        if not self._counts[tag]:
            del self._counts[tag]


def _start_loop(state: Any, lead: Lead, refuse: Refuse) -> None:
    Thread(target=_loop, args=(state, lead, refuse), name="grpc-events", daemon=True).start()


def _loop(state: Any, lead: Lead, refuse: Refuse) -> None:
    """Handle events until the server stops, or until another thread does."""
    lead.begin(lambda: _start_loop(state, lead, refuse))
    ran = 0.0
    while lead.is_mine:
        # A time in the past: a poll until now would sleep for up to a millisecond.
        event = state.completion_queue.poll(0 if lead.wanted else time.time() + _POLL_SECONDS)
        if state.server_deallocated:
            _server._begin_shutdown_once(state)
        drained = event.completion_type == cygrpc.CompletionType.queue_timeout
        if not drained and not _goes_on(state, event, refuse):
            lead.end()
        # As in grpcio: an event may hold the last reference to a call.
        event = None
        if lead.wanted and lead.is_mine and (drained or time.monotonic() - ran > _LONGEST_WAIT_SECONDS):
            lead.run()
            ran = time.monotonic()


def _goes_on(state: Any, event: Any, refuse: Refuse) -> bool:
    """Handle an event; return False if it was the last one. One that fails does not end the loop."""
    try:
        if _is_refused(state, event, refuse):
            return True
        return bool(_server._process_event_and_continue(state, event))
    except Exception:
        _log.exception("an event of a call could not be handled")
        return True


def _is_refused(state: Any, event: Any, refuse: Refuse) -> bool:
    """Show a new call to `refuse`, and request the next one if it has ended this one."""
    if event.tag is not _server._REQUEST_CALL_TAG or not event.success or not event.call_details.method:
        return False
    call = AnnouncedCall(event)
    call.ended = state.rpc_states.add
    with state.lock:
        if state.stage is not _server._ServerStage.STARTED or not refuse(call):
            return False
        state.due.remove(_server._REQUEST_CALL_TAG)
        _server._request_call(state)
    return True
