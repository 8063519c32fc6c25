"""One call over any transport, with its retries and hedged attempts."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

from google.protobuf.message import Message

from spyglass_client._attempts import Attempts
from spyglass_client._calls import Call
from spyglass_client._hedging import Race
from spyglass_client._options import Hedging
from spyglass_client._tracing import CallSpan, call_span
from spyglass_client._transports.transport import PendingResponse, Route
from spyglass_client._waiting import get_within
from spyglass_contract.errors import SpyglassError

Result = TypeVar("Result")


def send(call: Call[Result], route: Route, attempts: Attempts, hedging: Hedging | None) -> Result:
    """Return the result of a call. Raises the error after which there is no further attempt.

    With `hedging` each attempt is a race; the route must be able to start requests without waiting.
    """
    with call_span(call.method, call.service) as span:
        while True:
            try:
                if hedging:
                    response = _first(call, route, attempts, hedging, span)
                else:
                    response = route.send(call.method, call.request, attempts.remaining())
                    span.answered_by(route.server)
            except SpyglassError as error:
                pause = attempts.pause_after(error, elsewhere=route.elsewhere)
                span.retry(error, pause)
                time.sleep(pause)
            else:
                return call.read(response)


async def send_async(
    call: Call[Result], route: Route, attempts: Attempts, hedging: Hedging | None, *, blocking: bool
) -> Result:
    """Do what `send` does, without blocking; if the task is cancelled, the call is, too.

    If the route is `blocking`, it sends in a thread.
    """
    with call_span(call.method, call.service) as span:
        while True:
            try:
                if hedging:
                    response = await _first_async(call, route, attempts, hedging, span)
                else:
                    response = await _response(call, route, attempts.remaining(), blocking)
                    span.answered_by(route.server)
            except SpyglassError as error:
                pause = attempts.pause_after(error, elsewhere=route.elsewhere)
                span.retry(error, pause)
                await asyncio.sleep(pause)
            else:
                return call.read(response)


def _first(call: Call[Result], route: Route, attempts: Attempts, hedging: Hedging, span: CallSpan) -> Message:
    ended: SimpleQueue[int] = SimpleQueue()
    race = Race(call, route, attempts, hedging, span, ended.put)
    try:
        while True:
            number = get_within(ended, race.seconds())
            if number is None:
                race.hedge()
            elif (response := race.settle(number)) is not None:
                return response
    finally:
        race.cancel()


async def _first_async(
    call: Call[Result], route: Route, attempts: Attempts, hedging: Hedging, span: CallSpan
) -> Message:
    loop = asyncio.get_running_loop()
    ended: asyncio.Queue[int] = asyncio.Queue()

    def done(number: int) -> None:
        # The loop may be closed by the time a cancelled attempt ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.put_nowait, number)

    race = Race(call, route, attempts, hedging, span, done)
    try:
        while True:
            try:
                async with asyncio.timeout(race.seconds()):
                    number = await ended.get()
            except TimeoutError:
                race.hedge()
            else:
                if (response := race.settle(number)) is not None:
                    return response
    finally:
        race.cancel()


async def _response(call: Call[Result], route: Route, timeout: float | None, blocking: bool) -> Message:
    if blocking:
        return await asyncio.to_thread(route.send, call.method, call.request, timeout)
    pending = route.start(call.method, call.request, timeout)
    try:
        await _done(pending)
    finally:
        pending.cancel()
    return pending.result()


async def _done(pending: PendingResponse) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: object) -> None:
        # The loop may be closed by the time a cancelled call ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(done.set)

    pending.add_done_callback(wake)
    await done.wait()
