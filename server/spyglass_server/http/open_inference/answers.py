"""Results of inference as bodies: JSON, with the elements of tensors in it or after it."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from spyglass.inference.v2_pb2 import ModelInferRequest
from spyglass_contract.errors import SpyglassError
from spyglass_server.http.exchange import Answer
from spyglass_server.http.open_inference.requests import (
    BINARY_DATA,
    BINARY_OUTPUT,
    BINARY_SIZE,
    HEADER_LENGTH,
)
from spyglass_server.http.statuses import headers_of, http_status, problem_of
from spyglass_server.open_inference.tensors import InferResult, OutputTensor

_JSON, _BINARY = "application/json", "application/octet-stream"


def infer_answer(message: ModelInferRequest, result: InferResult) -> Answer:
    """Return the body of a result. Outputs are binary if the request, or the output in it, wants that."""
    served_by = result.served_by
    whole = message.parameters[BINARY_OUTPUT].bool_param if BINARY_OUTPUT in message.parameters else False
    binary = {
        output.name: output.parameters[BINARY_DATA].bool_param
        for output in message.outputs
        if BINARY_DATA in output.parameters
    }
    raw: list[bytes] = []
    outputs = [_output(output, raw, binary.get(output.name, whole)) for output in result.outputs]
    parameters: dict[str, Any] = {
        "sha256": served_by.sha256,
        "provider": served_by.provider,
        "precision": served_by.precision,
    }
    if result.cached:
        parameters["cached"] = True
    content = {
        "id": result.id,
        "model_name": served_by.model,
        "model_version": str(served_by.version),
        "parameters": parameters,
        "outputs": outputs,
    }
    head = json.dumps(content).encode()
    if not raw:
        return Answer(head, _JSON)
    return Answer(b"".join((head, *raw)), _BINARY, headers={HEADER_LENGTH: str(len(head))})


def _output(output: OutputTensor, raw: list[bytes], binary: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": output.name,
        "datatype": output.datatype,
        "shape": list(output.shape),
    }
    if binary:
        raw.append(output.raw())
        found["parameters"] = {BINARY_SIZE: len(raw[-1])}
    elif isinstance(output.values, list):
        found["data"] = [text.decode("utf-8", "replace") for text in output.values]
    else:
        found["data"] = output.values.ravel().tolist()
    return found


def error_response(error: SpyglassError, request_id: str) -> Response:
    """Return the response that tells an error, as the protocol wants it, with the problem's other members."""
    problem = problem_of(error, request_id)
    return JSONResponse(
        {"error": problem["detail"] or error.reason, **problem},
        http_status(error),
        headers_of(error, request_id),
    )
