"""The calls of the service, each as what is sent and how the reply is read: all that both clients share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest
from spyglass_client._models import ModelDetails, ServedModel, read_details, read_models
from spyglass_client._pictures import Picture, image_message
from spyglass_client._results import Classification, read_classification
from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.model_names import model_ref

Result = TypeVar("Result", covariant=True)

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call: the method of `spyglass.v1.Vision`, the request, and the reply to a result."""

    method: str
    request: Message
    read: Callable[[Any], Result]


def classify_request(*, model: str, top_k: int | None, request_id: str = "") -> ClassifyRequest:
    """A request that lacks its picture. Raises InvalidInput for a `model` or `top_k` that cannot be."""
    if top_k is not None and not 1 <= top_k <= _UINT32_MAX:
        raise InvalidInput(f"top_k is {top_k}, not 1 or more", reason="TOP_K_INVALID", field="top_k")
    return ClassifyRequest(id=request_id, model=model_ref(model), top_k=top_k or 0)


def with_picture(request: ClassifyRequest, picture: Picture) -> ClassifyRequest:
    """The same with its picture, a new message. Raises ImageError."""
    complete = ClassifyRequest(image=image_message(picture))
    complete.MergeFrom(request)
    return complete


def request_or_error(request: ClassifyRequest, picture: Picture) -> ClassifyRequest | SpyglassError:
    """The same for one picture of many, where one that cannot be read is not the end of all."""
    try:
        return with_picture(request, picture)
    except SpyglassError as error:
        return error


def classify_call(request: ClassifyRequest) -> Call[Classification]:
    return Call("Classify", request, read_classification)


def models_call() -> Call[tuple[ServedModel, ...]]:
    return Call("ListModels", ListModelsRequest(), read_models)


def model_call(name: str, *, with_golden: bool) -> Call[ModelDetails]:
    """Raises InvalidInput for a model's name that is none."""
    return Call("GetModel", GetModelRequest(model=model_ref(name), with_golden=with_golden), read_details)
