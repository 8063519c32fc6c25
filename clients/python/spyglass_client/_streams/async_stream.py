"""A streaming call, as the asyncio client drives it; the same steps as in `_stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from spyglass_client._calls import Request
from spyglass_client._results.classifications import Failure
from spyglass_client._streams.pipeline import Give, Pipeline, Send, Stop, Take, Wait
from spyglass_client._streams.stream import FAREWELL, Received, Result, Start, Stream
from spyglass_contract.errors import SpyglassError


async def run_async(
    pipeline: Pipeline[Result], requests: AsyncIterator[Request | SpyglassError], start: Start
) -> AsyncIterator[Result | Failure]:
    """Do what `_stream.run` does, without blocking."""
    received: asyncio.Queue[Received] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def deliver(what: Received) -> None:
        # The loop may be closed by the time a cancelled stream ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(received.put_nowait, what)

    stream = Stream(start, deliver)
    try:
        while not isinstance(step := pipeline.step(), Stop):
            match step:
                case Give(result):
                    yield result
                case Take():
                    pipeline.take(await anext(requests, None))
                case Send(request):
                    stream.send(request)
                case Wait(seconds):
                    pipeline.receive(stream.notice(await _get(received, seconds)))
        if stream.finish():
            await _get(received, FAREWELL)
    finally:
        stream.cancel()


async def _get(received: asyncio.Queue[Received], seconds: float | None) -> Received | None:
    try:
        async with asyncio.timeout(seconds):
            return await received.get()
    except TimeoutError:
        return None
