"""Bodies of requests, received within bounds of bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request

from spyglass_contract.errors import Cancelled, DeadlineExceeded, InvalidInput, LimitExceeded, Overloaded
from spyglass_server.engine.call import Call
from spyglass_server.engine.capacity.byte_budget import ByteBudget

_RETRY_SECONDS = 0.5
# The part of the budget that bodies may take before they are complete: slow senders leave the rest to others.
_PART = 4


class MediaTypeUnsupported(InvalidInput):
    """The body is in no form that the server reads."""

    default_reason = "MEDIA_TYPE_UNSUPPORTED"


class _Arrival:
    """A body on its way."""

    def __init__(self, limit: asyncio.Timeout) -> None:
        self.bytes = 0
        self.pushed_out = False
        self._limit = limit

    def push_out(self) -> None:
        """End it: others need the memory."""
        self.pushed_out = True
        # One whose time is over ends anyway.
        if not self._limit.expired():
            self._limit.reschedule(0)


class Body:
    """A complete body, which holds its bytes in the budget until `close`."""

    def __init__(self, data: bytes, budget: ByteBudget) -> None:
        self.data = data
        self._held = len(data)
        self._budget = budget

    def close(self) -> None:
        """Give the bytes back; may be called again."""
        self.data = b""
        held, self._held = self._held, 0
        if held:
            self._budget.give_back(held)


class Arrivals:
    """Receives bodies, on one event loop."""

    def __init__(self, budget: ByteBudget, *, longest: int, seconds: float) -> None:
        """A body has at most `longest` bytes, and arrives within `seconds`."""
        self._budget = budget
        self._longest = longest
        self._seconds = seconds
        # In the order of their beginning.
        self._arriving: dict[_Arrival, None] = {}
        self._arriving_bytes = 0

    async def receive(self, request: Request, call: Call) -> Body:
        """Return the body of a request, which arrives before the call is over.

        Raises LimitExceeded, DeadlineExceeded, Cancelled, MediaTypeUnsupported, and Overloaded if the server
        holds too many bytes.
        """
        _check_encoding(request)
        self._check_length(request)
        left = call.remaining()
        seconds = self._seconds if left is None else min(left, self._seconds)
        try:
            async with asyncio.timeout(seconds) as limit:
                with self._arrival(limit) as arrival:
                    data = await self._read(request, arrival)
        except TimeoutError:
            call.remaining()
            raise self._timed_out(arrival) from None
        except ClientDisconnect:
            raise Cancelled("the caller disconnected") from None
        self._budget.take(len(data))
        return Body(data, self._budget)

    async def _read(self, request: Request, arrival: _Arrival) -> bytes:
        parts = []
        async for part in request.stream():
            if arrival.pushed_out:
                # It is not counted any more, and ends as soon as it waits.
                break
            arrival.bytes += len(part)
            self._arriving_bytes += len(part)
            if arrival.bytes > self._longest:
                raise self._too_large()
            parts.append(part)
            while self._arriving_bytes * _PART > self._budget.limit and len(self._arriving) > 1:
                oldest = next(iter(self._arriving))
                self._forget(oldest)
                oldest.push_out()
                # Its memory is free when its task has run.
                await asyncio.sleep(0)
        if arrival.pushed_out:
            raise TimeoutError
        return b"".join(parts)

    @contextmanager
    def _arrival(self, limit: asyncio.Timeout) -> Iterator[_Arrival]:
        arrival = _Arrival(limit)
        self._arriving[arrival] = None
        try:
            yield arrival
        finally:
            self._forget(arrival)

    def _forget(self, arrival: _Arrival) -> None:
        if arrival in self._arriving:
            del self._arriving[arrival]
            self._arriving_bytes -= arrival.bytes

    def _check_length(self, request: Request) -> None:
        length = request.headers.get("content-length", "0")
        # The parser has refused all that is no number of 64 bits.
        if int(length) > self._longest:
            raise self._too_large()

    def _too_large(self) -> LimitExceeded:
        return LimitExceeded(
            f"a request may have at most {self._longest:,} bytes", reason="MESSAGE_TOO_LARGE", field="body"
        )

    def _timed_out(self, arrival: _Arrival) -> DeadlineExceeded | Overloaded:
        if arrival.pushed_out:
            return Overloaded(
                "the server has no memory for more requests now; try again later",
                reason="BYTES_IN_FLIGHT",
                retry_after=_RETRY_SECONDS,
            )
        return DeadlineExceeded(
            f"the request did not arrive within {self._seconds:g} s", reason="REQUEST_TOO_SLOW"
        )


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise MediaTypeUnsupported(
            f"the body must not be compressed; its Content-Encoding is {encoding[:50]!r}",
            field="content-encoding",
        )
