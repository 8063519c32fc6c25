"""The `spyglass.v1.Vision` service over gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.model_pb2 import (
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
)
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass.v1.vision_pb2_grpc import VisionServicer
from spyglass_server.engine.call import Call
from spyglass_server.faults import public_error
from spyglass_server.handlers import Handlers
from spyglass_server.observing.observers import Observers
from spyglass_server.servicers.context import call_of, is_ordered
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.observed_messages import observing_messages
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.servicers.stream_failures import StreamFailures
from spyglass_server.streams import Request, Response, handle_stream


class Vision(VisionServicer):
    """A shell around the handlers: it checks the readiness and passes deadline and cancellation on."""

    def __init__(
        self,
        handlers: Handlers,
        readiness: Readiness,
        observers: Observers,
        entrance: Entrance,
        *,
        window: int,
    ) -> None:
        """Each streaming call has at most `window` requests in work."""
        self._handlers = handlers
        self._readiness = readiness
        self._observers = observers
        self._entrance = entrance
        self._window = window

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        return self._one(request, context, self._handlers.classify)

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        return self._stream(request_iterator, context, self._handlers.classify, ClassifyResponse)

    def Segment(self, request: SegmentRequest, context: grpc.ServicerContext) -> SegmentResponse:
        return self._one(request, context, self._handlers.segment)

    def SegmentStream(
        self, request_iterator: Iterator[SegmentRequest], context: grpc.ServicerContext
    ) -> Iterator[SegmentResponse]:
        return self._stream(request_iterator, context, self._handlers.segment, SegmentResponse)

    def Heatmap(self, request: HeatmapRequest, context: grpc.ServicerContext) -> HeatmapResponse:
        return self._one(request, context, self._handlers.heatmap)

    def HeatmapStream(
        self, request_iterator: Iterator[HeatmapRequest], context: grpc.ServicerContext
    ) -> Iterator[HeatmapResponse]:
        return self._stream(request_iterator, context, self._handlers.heatmap, HeatmapResponse)

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        self._readiness.check()
        return self._handlers.list_models(request, call_of(context))

    def GetModel(self, request: GetModelRequest, context: grpc.ServicerContext) -> GetModelResponse:
        self._readiness.check()
        return self._handlers.get_model(request, call_of(context))

    def _one(
        self,
        request: Request,
        context: grpc.ServicerContext,
        handle: Callable[[Request, Call], Response],
    ) -> Response:
        self._readiness.check()
        call = call_of(context)
        with self._entrance.inside(call.caller, request):
            return handle(request, call)

    def _stream(
        self,
        requests: Iterator[Request],
        context: grpc.ServicerContext,
        handle: Callable[[Request, Call], Response],
        response: type[Response],
    ) -> Iterator[Response]:
        self._readiness.check()
        call = call_of(context, patient=True)
        failures = StreamFailures()
        counted = failures.counting(self._paced(handle))
        if call.observation:
            call.observation.kind = "stream"
            counted = observing_messages(counted, call.observation, self._observers)
        try:
            yield from handle_stream(
                requests,
                counted,
                response,
                call,
                public_error,
                window=self._window,
                ordered=is_ordered(context.invocation_metadata()),
            )
        finally:
            failures.log()

    def _paced(self, handle: Callable[[Request, Call], Response]) -> Callable[[Request, Call], Response]:
        """Return `handle` that waits if the limits of the caller require it."""

        def paced(request: Request, call: Call) -> Response:
            self._entrance.wait(call, request)
            return handle(request, call)

        return paced
