"""Inference whose calls wait on threads: only if this version of grpcio does not allow direct calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from spyglass.inference.v2_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from spyglass_server.engine.call import Call
from spyglass_server.faults import public_error
from spyglass_server.observing.observers import Observers
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.observed_messages import observing_messages
from spyglass_server.servicers.open_inference.messages import (
    cost_of_request,
    failed,
    request_of,
    response_of,
    streamed,
)
from spyglass_server.servicers.stream_failures import StreamFailures
from spyglass_server.streams import map_side_by_side


class Waiting:
    """Runs requests, and waits for their results."""

    def __init__(
        self, inference: OpenInference, observers: Observers, entrance: Entrance, *, window: int
    ) -> None:
        """Each stream has at most `window` requests in work."""
        self._inference = inference
        self._observers = observers
        self._entrance = entrance
        self._window = window

    def infer(self, request: ModelInferRequest, call: Call) -> ModelInferResponse:
        """Return the response to one request. Raises its error."""
        with self._entrance.inside(call.caller, request, cost_of_request):
            return response_of(self._inference.infer(request_of(request), call))

    def stream(self, requests: Iterator[ModelInferRequest], call: Call) -> Iterator[ModelStreamInferResponse]:
        """Yield the response to each request, in their order. Raises the error of the call itself."""
        failures, handle = StreamFailures(), cast(Any, self._handle)
        if call.observation:
            call.observation.kind = "stream"
            handle = observing_messages(handle, call.observation, self._observers)

        def handle_one(request: ModelInferRequest) -> ModelStreamInferResponse:
            failures.count()
            try:
                return cast(ModelStreamInferResponse, handle(request, call))
            except Exception as error:
                failures.add(request.model_name, error)
                return failed(request, public_error(error, call.request_id), call.request_id)

        try:
            yield from map_side_by_side(handle_one, requests, window=self._window, ordered=True)
        finally:
            failures.log()
        call.remaining()

    def _handle(self, request: ModelInferRequest, call: Call) -> ModelStreamInferResponse:
        self._entrance.wait(call, request, cost_of_request)
        return streamed(response_of(self._inference.infer(request_of(request), call)))
