"""The methods of inference as direct calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from google.protobuf.message import Message

from spyglass.inference.v2_pb2 import DESCRIPTOR, ModelInferRequest, ModelInferResponse
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.interceptors.parsing import Parser
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.tensors import InferResult
from spyglass_server.servicers.direct.method import Method
from spyglass_server.servicers.open_inference.messages import (
    cost_of_request,
    failed,
    request_of,
    response_of,
    streamed,
)

_SERVICE = DESCRIPTOR.services_by_name["GRPCInferenceService"]


def inference_methods(inference: OpenInference) -> tuple[Method, Method]:
    """Return ModelInfer and ModelStreamInfer."""
    return _method(inference, "ModelInfer", lambda response: response), _method(
        inference, "ModelStreamInfer", streamed, ordered=True
    )


def _method(
    inference: OpenInference,
    name: str,
    finish: Callable[[ModelInferResponse], Message],
    *,
    ordered: bool = False,
) -> Method:
    def start(message: ModelInferRequest, call: Call, done: Done) -> None:
        def ended(result: object, error: Exception | None) -> None:
            done(None if error else finish(response_of(cast(InferResult, result))), error)

        inference.start(request_of(message), call, ended)

    return Method(
        f"/{_SERVICE.full_name}/{name}",
        Parser(ModelInferRequest.FromString),
        start,
        inference.check,
        failed,
        _model_name,
        cost_of_request,
        ordered,
    )


def _model_name(message: ModelInferRequest) -> str:
    return message.model_name
