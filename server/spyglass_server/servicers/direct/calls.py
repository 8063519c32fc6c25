"""Every direct call of Vision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_server.engine.capacity.places import Places
from spyglass_server.handlers import Handlers
from spyglass_server.interceptors.grpcio_calls import is_known
from spyglass_server.interceptors.receiving_pool import Direct
from spyglass_server.observing.observers import Observers
from spyglass_server.servicers.direct.method import method
from spyglass_server.servicers.direct.streaming import StreamCalls
from spyglass_server.servicers.direct.unary import UnaryCalls
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness


def direct_calls(
    handlers: Handlers,
    readiness: Readiness,
    threads: ThreadPoolExecutor,
    streams: Places,
    observers: Observers,
    entrance: Entrance,
    *,
    window: int,
) -> dict[str, Direct]:
    """Return what takes over the calls of each method, by its path; empty if grpcio does not allow it.

    A stream has at most `window` requests in work. What may take long, or wait, runs on `threads`.
    """
    if not is_known():
        return {}
    kinds = (
        ("Classify", ClassifyRequest, ClassifyResponse, partial(handlers.start, handlers.classify_work)),
        ("Segment", SegmentRequest, SegmentResponse, partial(handlers.start, handlers.segment_work)),
        ("Heatmap", HeatmapRequest, HeatmapResponse, partial(handlers.start, handlers.heatmap_work)),
    )
    calls: dict[str, Direct] = {}
    for name, request, response, start in kinds:
        unary = method(name, request, response, start, handlers.check)
        stream = method(f"{name}Stream", request, response, start, handlers.check)
        calls[unary.path] = UnaryCalls(unary, readiness, threads, observers, entrance)
        calls[stream.path] = StreamCalls(
            stream, readiness, threads, streams, observers, entrance, window=window
        )
    return calls
