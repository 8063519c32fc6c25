"""An open loop: requests that leave at their own times, however long the responses take.

A closed loop slows down together with the server, and so does not see what callers see who do not wait for
each other (coordinated omission). Here a request's time counts from the moment that it was due.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from spyglass_cli.load.arrivals import arrivals
from spyglass_cli.load.loads import OpenLoop
from spyglass_cli.load.recording import Record
from spyglass_cli.load.work import Work
from spyglass_client import AsyncClient, Overloaded
from spyglass_contract.errors import SpyglassError

# Requests that one process has under way; beyond it a request counts as an error of this name.
MOST_OUTSTANDING = 10_000
TOO_MANY_OUTSTANDING = "CLIENT_FULL"


async def run_open_loop(
    client: AsyncClient, work: Work, load: OpenLoop, warm_up: float, begin: float, end: float
) -> Record:
    """Send the requests of `load` from `warm_up` to `end`, and return those due from `begin` on.

    All are times of `time.monotonic`. Returns when every request has its response or its deadline.
    """
    record, send = Record(), work.awaitable(client)
    under_way: set[asyncio.Task[None]] = set()
    for number, offset in enumerate(arrivals(load, end - warm_up)):
        due = warm_up + offset
        counts = due >= begin
        if (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if counts:
            record.late.add(max(time.monotonic() - due, 0))
        if len(under_way) >= MOST_OUTSTANDING:
            if counts:
                record.add(0, Overloaded("too many requests under way", reason=TOO_MANY_OUTSTANDING))
            await asyncio.sleep(0)
            continue
        task = asyncio.create_task(_send(send, number, due, record if counts else None))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    return record


async def _send(
    send: Callable[[int], Awaitable[object]], number: int, due: float, record: Record | None
) -> None:
    error = None
    try:
        await send(number)
    except SpyglassError as raised:
        error = raised
    if record is not None:
        record.add(time.monotonic() - due, error)
