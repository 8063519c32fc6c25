"""A streaming call, as the asyncio client drives it; the same steps as in `_stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from spyglass_client._calls import Request
from spyglass_client._results.classifications import Failure
from spyglass_client._streams.pipeline import Give, Pipeline, Send, Stop, Take, Wait
from spyglass_client._streams.stream import FAREWELL, Heard, Result, Start, Stream
from spyglass_contract.errors import SpyglassError


async def run_async(
    pipeline: Pipeline[Result], requests: AsyncIterator[Request | SpyglassError], start: Start
) -> AsyncIterator[Result | Failure]:
    """Do what `_stream.run` does, without blocking."""
    heard: asyncio.Queue[Heard] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def deliver(what: Heard) -> None:
        # The loop may be closed by the time a cancelled stream ends.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(heard.put_nowait, what)

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
                    pipeline.hear(stream.notice(await _get(heard, seconds)))
        if stream.finish():
            await _get(heard, FAREWELL)
    finally:
        stream.cancel()


async def _get(heard: asyncio.Queue[Heard], seconds: float | None) -> Heard | None:
    try:
        async with asyncio.timeout(seconds):
            return await heard.get()
    except TimeoutError:
        return None
