"""The `spyglass.v1.Vision` service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.model_pb2 import (
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    ServedModel,
)
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass.v1.vision_pb2_grpc import VisionServicer
from spyglass_server.dataplane import DataPlane
from spyglass_server.engine.call import Call
from spyglass_server.engine.model import Model
from spyglass_server.interceptors.request_id import current_request_id
from spyglass_server.interceptors.statuses import to_status
from spyglass_server.servicers.calls import call_of
from spyglass_server.servicers.heatmap_messages import drawing_of, heatmap_response, targets_of
from spyglass_server.servicers.messages import (
    card_message,
    classify_response,
    image_of,
    selector_of,
    served_model,
)
from spyglass_server.servicers.readiness import Readiness
from spyglass_server.servicers.segment_messages import (
    mask_style_of,
    refinements_of,
    segment_response,
    soft_of,
)
from spyglass_server.servicers.streams import answer_stream

Request = TypeVar("Request", ClassifyRequest, SegmentRequest, HeatmapRequest)
Reply = TypeVar("Reply", ClassifyResponse, SegmentResponse, HeatmapResponse)


class Vision(VisionServicer):
    """Converts messages and asks the data plane."""

    def __init__(self, dataplane: DataPlane, readiness: Readiness, *, window: int) -> None:
        """`window` bounds the images that each streaming call has in work."""
        self._dataplane = dataplane
        self._readiness = readiness
        self._window = window

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        self._readiness.check()
        return self._classify(request, call_of(context))

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        return self._stream(request_iterator, context, self._classify, ClassifyResponse)

    def Segment(self, request: SegmentRequest, context: grpc.ServicerContext) -> SegmentResponse:
        self._readiness.check()
        return self._segment(request, call_of(context))

    def SegmentStream(
        self, request_iterator: Iterator[SegmentRequest], context: grpc.ServicerContext
    ) -> Iterator[SegmentResponse]:
        return self._stream(request_iterator, context, self._segment, SegmentResponse)

    def Heatmap(self, request: HeatmapRequest, context: grpc.ServicerContext) -> HeatmapResponse:
        self._readiness.check()
        return self._heatmap(request, call_of(context))

    def HeatmapStream(
        self, request_iterator: Iterator[HeatmapRequest], context: grpc.ServicerContext
    ) -> Iterator[HeatmapResponse]:
        return self._stream(request_iterator, context, self._heatmap, HeatmapResponse)

    def ListModels(self, request: ListModelsRequest, context: grpc.ServicerContext) -> ListModelsResponse:
        self._readiness.check()
        return ListModelsResponse(models=[self._served(model) for model in self._dataplane.repository])

    def GetModel(self, request: GetModelRequest, context: grpc.ServicerContext) -> GetModelResponse:
        self._readiness.check()
        model = self._dataplane.repository.find(selector_of(request.model))
        card = card_message(model.card, with_golden=request.with_golden)
        return GetModelResponse(card=card, served=self._served(model))

    def _classify(self, request: ClassifyRequest, call: Call) -> ClassifyResponse:
        result = self._dataplane.classify(
            image_of(request.image), model=selector_of(request.model), top_k=request.top_k, call=call
        )
        return classify_response(request, result)

    def _segment(self, request: SegmentRequest, call: Call) -> SegmentResponse:
        result = self._dataplane.segment(
            image_of(request.image),
            model=selector_of(request.model),
            style=mask_style_of(request),
            refine=refinements_of(request),
            soft=soft_of(request),
            call=call,
        )
        return segment_response(request, result)

    def _heatmap(self, request: HeatmapRequest, call: Call) -> HeatmapResponse:
        result = self._dataplane.heatmap(
            image_of(request.image),
            model=selector_of(request.model),
            targets=targets_of(request),
            drawing=drawing_of(request),
            top_k=request.top_k,
            call=call,
        )
        return heatmap_response(request, result)

    def _stream(
        self,
        requests: Iterator[Request],
        context: grpc.ServicerContext,
        answer: Callable[[Request, Call], Reply],
        reply: type[Reply],
    ) -> Iterator[Reply]:
        """The answer to each of `requests`, as they get ready; what fails is a `reply` with its error."""
        self._readiness.check()
        call = call_of(context, patient=True)

        def answer_or_error(request: Request) -> Reply:
            try:
                return answer(request, call)
            # One image's failure is its own; the stream goes on.
            except Exception as error:
                return reply(id=request.id, error=to_status(error, current_request_id()))

        yield from answer_stream(requests, answer_or_error, window=self._window)
        call.remaining()

    def _served(self, model: Model) -> ServedModel:
        default = self._dataplane.repository.default(model.card.task)
        return served_model(model, is_default=model is default)
