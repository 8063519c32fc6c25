"""One call: its caller, its deadline and its cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spyglass_contract.errors import Cancelled, DeadlineExceeded

if TYPE_CHECKING:
    from spyglass_server.access.entries import Identity
    from spyglass_server.engine.observation import Observation


@dataclass(frozen=True)
class Caller:
    """Who calls. The workers are shared fairly among names, then among the connections of a name."""

    # Such as `ipv4:10.0.0.7`; all calls in the same process have one.
    address: str = ""
    # Such as `ipv4:10.0.0.7:51234`.
    connection: str = ""
    # None: the server asks for no token. Then everything is allowed.
    identity: Identity | None = None

    @property
    def name(self) -> str:
        """The name of the identity, else the address: limits and the log use it."""
        return self.identity.name if self.identity else self.address


LOCAL = Caller()
"""The caller in the same process."""


class Call:
    """The deadline of one call, and whether its caller has cancelled it.

    `deadline` is in seconds of `time.monotonic()`, None: no deadline. A `patient` call waits when others are
    refused: an image of a stream, whose flow control already holds its sender back. A `bulk` call gives way
    to others, but still gets a part of the time.
    """

    __slots__ = (
        "_listeners",
        "bulk",
        "caller",
        "cancelled",
        "deadline",
        "observation",
        "patient",
        "request_id",
    )

    def __init__(
        self,
        deadline: float | None = None,
        *,
        patient: bool = False,
        caller: Caller = LOCAL,
        bulk: bool = False,
        request_id: str = "",
    ) -> None:
        """`request_id` is for the log."""
        self.request_id = request_id
        self.deadline = deadline
        self.patient = patient
        self.caller = caller
        self.bulk = bulk
        self.cancelled = False
        self.observation: Observation | None = None
        """What is known of the request; None: nobody observes it."""
        self._listeners: list[Callable[[], object]] = []

    def remaining(self) -> float | None:
        """Return the seconds left, None: no deadline. Raises DeadlineExceeded and Cancelled if it is over."""
        if self.cancelled:
            raise Cancelled("the caller cancelled the call")
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the deadline passed before the response was ready")
        return left

    def cancel(self) -> None:
        """Mark the call as cancelled, and run the callbacks of `on_cancel`."""
        self.cancelled = True
        for listener in list(self._listeners):
            listener()

    def on_cancel(self, listener: Callable[[], object]) -> None:
        """Run `listener` if the call is cancelled, in the thread that cancels; at once if it already is."""
        # In this order: a call that is cancelled in between runs it twice rather than never.
        self._listeners.append(listener)
        if self.cancelled:
            listener()

    def forget(self, listener: Callable[[], object]) -> None:
        """Do not run `listener` any more; does nothing if it is unknown."""
        with suppress(ValueError):
            self._listeners.remove(listener)

    def part(self, *, patient: bool | None = None) -> Call:
        """Return a call for a part of this call, which ends with this call and can be cancelled alone.

        `patient` is as in `Call`; None: as this call is.
        """
        part = _Part(self, self.deadline, None)
        part.patient = self.patient if patient is None else patient
        return part

    def until(self, deadline: float) -> Call:
        """Return a call for one request of this call, which ends with this call or at `deadline`."""
        ends = deadline if self.deadline is None else min(deadline, self.deadline)
        return _Part(self, ends, self.observation)

    def observed(self, observation: Observation) -> Call:
        """Return a call for one request of this call, which ends with this call."""
        return _Part(self, self.deadline, observation)


class _Part(Call):
    """A call that is cancelled with the call that it is a part of."""

    __slots__ = ("_whole",)

    def __init__(self, whole: Call, deadline: float | None, observation: Observation | None) -> None:
        super().__init__(
            deadline,
            patient=whole.patient,
            caller=whole.caller,
            bulk=whole.bulk,
            request_id=whole.request_id,
        )
        self._whole = whole
        self.observation = observation

    def remaining(self) -> float | None:
        self.cancelled = self.cancelled or self._whole.cancelled
        return super().remaining()

    def on_cancel(self, listener: Callable[[], object]) -> None:
        if not self._listeners:
            self._whole.on_cancel(self.cancel)
        super().on_cancel(listener)

    def forget(self, listener: Callable[[], object]) -> None:
        super().forget(listener)
        if not self._listeners:
            self._whole.forget(self.cancel)
