"""Whether a connection can take calls, as far as its calls and its probe say."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from spyglass_client._attempts import CONNECTION_LOST, NOT_SERVING, TLS_FAILED, UNREACHABLE
from spyglass_contract.errors import SpyglassError, Unavailable

# A server that refuses calls, or whose probe fails, gets no call for this time, in seconds, if others can.
REST_SECONDS = 1.0

_NOT_CONNECTED = {CONNECTION_LOST, NOT_SERVING, TLS_FAILED, UNREACHABLE}


class State(IntEnum):
    """What is known of a connection; the lower, the better."""

    AVAILABLE = 0
    # Its first probe has not ended, and no call has failed.
    UNKNOWN = 1
    UNAVAILABLE = 2


class Probe(Protocol):
    """Asks once whether a server is there."""

    def __call__(self, ended: Callable[[bool], None], /) -> None:
        """Start to ask, without waiting. Once the server has answered, call `ended` in any thread.

        Its argument says whether the server takes calls. While the server cannot be reached, nothing happens.
        """


class Availability:
    """The state of one connection; safe to use from many threads.

    After a failure a probe waits until the server is back, so that no call is spent on finding out.
    """

    def __init__(self, probe: Probe, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the first probe. `clock` returns seconds."""
        self._probe = probe
        self._clock = clock
        self._known = State.UNKNOWN
        self._rests_until = 0.0
        self._probing = False
        self._start_probe()

    @property
    def state(self) -> State:
        """The state now."""
        if self._rests_until and self._clock() < self._rests_until:
            return State.UNAVAILABLE
        if self._known is not State.AVAILABLE:
            self._start_probe()
        return self._known

    def note(self, error: SpyglassError) -> None:
        """Note that a call over the connection failed with `error`."""
        if not isinstance(error, Unavailable):
            return
        if error.reason in _NOT_CONNECTED:
            self._known = State.UNAVAILABLE
            self._start_probe()
        else:
            self._rest()

    def _start_probe(self) -> None:
        # Two threads may start two probes, which does no harm.
        if not self._probing:
            self._probing = True
            self._probe(self._ended)

    def _ended(self, takes_calls: bool) -> None:
        # In this order: a call that fails meanwhile must start a probe.
        self._probing = False
        if takes_calls:
            self._known = State.AVAILABLE
        else:
            self._known = State.UNAVAILABLE
            self._rest()

    def _rest(self) -> None:
        self._rests_until = self._clock() + REST_SECONDS
