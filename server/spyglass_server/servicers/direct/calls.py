"""Every direct call."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from spyglass_server.engine.capacity.places import Places
from spyglass_server.interceptors.grpcio_calls import is_known
from spyglass_server.interceptors.receiving_pool import Direct
from spyglass_server.observing.observers import Observers
from spyglass_server.servicers.direct.method import Method
from spyglass_server.servicers.direct.streaming import StreamCalls
from spyglass_server.servicers.direct.unary import UnaryCalls
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness


def direct_calls(
    methods: Iterable[tuple[Method, Method]],
    readiness: Readiness,
    threads: ThreadPoolExecutor,
    streams: Places,
    observers: Observers,
    entrance: Entrance,
    *,
    window: int,
) -> dict[str, Direct]:
    """Return what takes over the calls of each method, by its path; empty if grpcio does not allow it.

    `methods` are pairs: the calls of the first one have one request, those of the second one many. A stream
    has at most `window` requests in work. What may take long, or wait, runs on `threads`.
    """
    if not is_known():
        return {}
    calls: dict[str, Direct] = {}
    for unary, stream in methods:
        calls[unary.path] = UnaryCalls(unary, readiness, threads, observers, entrance)
        calls[stream.path] = StreamCalls(
            stream, readiness, threads, streams, observers, entrance, window=window
        )
    return calls
