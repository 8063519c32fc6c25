"""Many requests over one call: handled side by side, with responses as they are ready, or in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import TypeVar

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_contract.errors import ModelError, SpyglassError
from spyglass_contract.statuses import status_from_error
from spyglass_server.engine.call import Call
from spyglass_server.engine.text import MAX_ID_CHARACTERS
from spyglass_server.request_id import current_request_id

Request = TypeVar("Request", ClassifyRequest, SegmentRequest, HeatmapRequest)
Response = TypeVar("Response", ClassifyResponse, SegmentResponse, HeatmapResponse)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def handle_stream(
    requests: Iterator[Request],
    handle: Callable[[Request, Call], Response],
    response: type[Response],
    call: Call,
    public_error: Callable[[Exception, str], SpyglassError],
    *,
    window: int,
    ordered: bool = False,
) -> Iterator[Response]:
    """Yield the response to each request; if one fails, its response holds the error and the stream goes on.

    The responses come as they are ready; `ordered`: in the order of the requests. `public_error` maps an
    exception and the request's id to the error that the caller sees. At most `window` requests are in work.
    Raises the errors of `call.remaining`, those of `requests`, and ModelError, which no response can carry.
    """

    def handle_one(request: Request) -> Response | ModelError:
        try:
            return handle(request, call)
        except ModelError as error:
            return error
        except Exception as error:
            request_id = current_request_id()
            return response(
                id=request.id[:MAX_ID_CHARACTERS],
                index=request.index,
                error=status_from_error(public_error(error, request_id), request_id),
            )

    for result in map_side_by_side(handle_one, requests, window=window, ordered=ordered):
        if isinstance(result, ModelError):
            raise result
        yield result
    call.remaining()


@dataclass(frozen=True)
class _End:
    """The requests have ended; this many came. `error` is why no further ones can be read."""

    count: int
    error: SpyglassError | None = None


def map_side_by_side(
    function: Callable[[_Item], _Result], items: Iterator[_Item], *, window: int, ordered: bool = False
) -> Iterator[_Result]:
    """Yield `function(item)` for each item, as the results are ready; `ordered`: in the order of the items.

    At most `window` items are taken whose results were not yielded yet: if nobody reads the results, no more
    items are read, so memory is bounded. `function` runs on threads of this call and must not raise. A
    SpyglassError of `items` is raised after the results of the items before it.
    """
    ready: SimpleQueue[tuple[int, _Result] | _End] = SimpleQueue()
    slots, stopped, context = Semaphore(window), Event(), copy_context()

    def run(number: int, item: _Item) -> None:
        ready.put((number, function(item)))

    def read() -> None:
        count, failure = 0, None
        # StopIteration, gRPC's bare Exception after the caller has cancelled, or the pool's RuntimeError
        # after this generator has ended: there is nothing to read.
        with suppress(Exception):
            try:
                while slots.acquire() and not stopped.is_set():
                    pool.submit(context.copy().run, run, count, next(items))
                    count += 1
            except SpyglassError as error:
                failure = error
        ready.put(_End(count, failure))

    with ThreadPoolExecutor(window, "stream") as pool:
        reader = Thread(target=read, name="stream-reader", daemon=True)
        reader.start()
        try:
            yield from _results(ready, slots, ordered)
        finally:
            # The reader is not joined: it may wait for a request that its sender sends only after this call
            # ends.
            stopped.set()
            slots.release()


def _results(
    ready: SimpleQueue[tuple[int, _Result] | _End], slots: Semaphore, ordered: bool
) -> Iterator[_Result]:
    # Results by their place in the order of yielding.
    waiting: dict[int, _Result] = {}
    arrived, yielded, end = 0, 0, None
    while end is None or yielded != end.count:
        entry = ready.get()
        if isinstance(entry, _End):
            end = entry
            continue
        number, result = entry
        waiting[number if ordered else arrived] = result
        arrived += 1
        while yielded in waiting:
            yield waiting.pop(yielded)
            yielded += 1
            slots.release()
    if end.error:
        raise end.error
