"""The messages of inference as the values of `spyglass_server.open_inference`, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spyglass.inference.v2_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.images.header import Limits
from spyglass_contract.images.message import ImageData
from spyglass_contract.status_codes import status_code
from spyglass_server.engine.text import MAX_ID_CHARACTERS
from spyglass_server.open_inference.byte_strings import split_strings
from spyglass_server.open_inference.inputs import MAX_IMAGES
from spyglass_server.open_inference.tensors import (
    BYTES,
    NO_PARAMETERS,
    UINT8,
    Contents,
    InferRequest,
    InferResult,
    InputTensor,
    RequestedOutput,
    Value,
)
from spyglass_server.servicers.costs import megapixels

_CHOICE = "parameter_choice"
_NOTHING: Contents = ()


def request_of(message: ModelInferRequest) -> InferRequest:
    """Return the request in a message. Raises InvalidInput if its contents are not those of its inputs."""
    raw, inputs = message.raw_input_contents, message.inputs
    if raw and len(raw) != len(inputs):
        raise InvalidInput(
            f"raw_input_contents must have one element for each of the {len(inputs)} inputs, not {len(raw)}",
            reason="CONTENTS_INVALID",
            field="raw_input_contents",
        )
    if raw:
        tensors = tuple(_raw_tensor(tensor, data) for tensor, data in zip(inputs, raw, strict=True))
    else:
        tensors = tuple(_typed_tensor(tensor) for tensor in inputs)
    return InferRequest(
        message.model_name,
        message.model_version,
        message.id,
        tensors,
        tuple(RequestedOutput(each.name, parameters_of(each.parameters)) for each in message.outputs),
        parameters_of(message.parameters),
    )


def parameters_of(parameters: Mapping[str, Any]) -> Mapping[str, Value]:
    """Return parameters as values; one without a value is left out."""
    if not parameters:
        return NO_PARAMETERS
    return {
        key: getattr(parameter, choice)
        for key, parameter in parameters.items()
        if (choice := parameter.WhichOneof(_CHOICE))
    }


def response_of(result: InferResult) -> ModelInferResponse:
    """Return the message of a result, with raw contents."""
    served_by = result.served_by
    response = ModelInferResponse(
        model_name=served_by.model, model_version=str(served_by.version), id=result.id
    )
    parameters = response.parameters
    parameters["sha256"].string_param = served_by.sha256
    parameters["provider"].string_param = served_by.provider
    parameters["precision"].string_param = served_by.precision
    if result.cached:
        parameters["cached"].bool_param = True
    for output in result.outputs:
        response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        response.raw_output_contents.append(output.raw())
    return response


def streamed(response: ModelInferResponse) -> ModelStreamInferResponse:
    """Return a response of a stream. It says that no other one follows for its request."""
    response.parameters["triton_final_response"].bool_param = True
    return ModelStreamInferResponse(infer_response=response)


def failed(request: ModelInferRequest, error: SpyglassError, request_id: str) -> ModelStreamInferResponse:
    """Return the response of a stream to a request that failed."""
    response = ModelInferResponse(id=request.id[:MAX_ID_CHARACTERS])
    response.parameters["code"].string_param = status_code(error)
    response.parameters["reason"].string_param = error.reason
    response.parameters["request_id"].string_param = request_id
    # A client takes an empty text for a success.
    return ModelStreamInferResponse(
        error_message=error.message or error.reason,
        infer_response=streamed(response).infer_response,
    )


def cost_of_request(message: ModelInferRequest, limits: Limits, *, pixels: bool) -> tuple[int, float]:
    """Return the images of a request and their megapixels; see `Cost`. One that is invalid costs an image."""
    if len(message.inputs) != 1 or not message.inputs[0].shape:
        return 1, 0.0
    tensor = message.inputs[0]
    count = min(max(int(tensor.shape[0]), 1), MAX_IMAGES)
    if not pixels:
        return count, 0.0
    if tensor.datatype != BYTES:
        of_one = tensor.shape[1] * tensor.shape[2] if len(tensor.shape) == 4 else 0
        # The model takes no larger input than the largest image.
        return count, count * min(max(of_one, 0), limits.max_pixels) / 1e6
    return count, megapixels(_files(message, count), limits)


def _files(message: ModelInferRequest, count: int) -> list[ImageData]:
    try:
        (tensor,) = request_of(message).inputs
        if isinstance(tensor.contents, bytes):
            return list(split_strings(tensor.contents, count))
    # The request fails with this error when its turn comes.
    except SpyglassError:
        return []
    return [element for element in tensor.contents[:count] if isinstance(element, bytes)]


def _raw_tensor(tensor: ModelInferRequest.InferInputTensor, data: bytes) -> InputTensor:
    if tensor.HasField("contents"):
        raise InvalidInput(
            "the elements of an input must be in raw_input_contents or in its contents, not in both",
            reason="CONTENTS_INVALID",
            field="inputs.contents",
        )
    return _tensor(tensor, data)


def _typed_tensor(tensor: ModelInferRequest.InferInputTensor) -> InputTensor:
    contents = tensor.contents
    if tensor.datatype == BYTES:
        return _tensor(tensor, list(contents.bytes_contents))
    return _tensor(tensor, contents.uint_contents if tensor.datatype == UINT8 else _NOTHING)


def _tensor(tensor: ModelInferRequest.InferInputTensor, contents: Contents) -> InputTensor:
    return InputTensor(
        tensor.name, tensor.datatype, tuple(tensor.shape), contents, parameters_of(tensor.parameters)
    )
