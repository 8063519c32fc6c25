"""One call over any transport, with its retries."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import Message

from spyglass_client._attempts import Attempts
from spyglass_client._calls import Call
from spyglass_client._tracing import call_span
from spyglass_client._transports.transport import NonBlockingTransport, PendingResponse, Transport
from spyglass_contract.errors import SpyglassError

Result = TypeVar("Result")


def send(transport: Transport, call: Call[Result], attempts: Attempts) -> Result:
    """Return the result of a call. Raises the error after which there is no further attempt."""
    with call_span(call.method, call.service) as span:
        while True:
            try:
                response = transport.send(call.method, call.request, attempts.remaining())
            except SpyglassError as error:
                pause = attempts.pause_after(error)
                span.retry(error, pause)
                time.sleep(pause)
            else:
                return call.read(response)


async def send_async(transport: Transport, call: Call[Result], attempts: Attempts) -> Result:
    """Do what `send` does, without blocking; if the task is cancelled, the call is, too."""
    with call_span(call.method, call.service) as span:
        while True:
            try:
                response = await _response(transport, call, attempts.remaining())
            except SpyglassError as error:
                pause = attempts.pause_after(error)
                span.retry(error, pause)
                await asyncio.sleep(pause)
            else:
                return call.read(response)


async def _response(transport: Transport, call: Call[Result], timeout: float | None) -> Message:
    if not isinstance(transport, NonBlockingTransport):
        return await asyncio.to_thread(transport.send, call.method, call.request, timeout)
    pending = transport.start(call.method, call.request, timeout)
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
