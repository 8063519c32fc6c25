"""`/v1`: the calls of Vision as HTTP requests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HEATMAP_FORMAT_PNG_OVERLAY, HeatmapRequest
from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest
from spyglass.v1.segment_pb2 import MASK_FORMAT_PNG_OVERLAY, SegmentRequest
from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.names import model_ref
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.handlers import Handlers
from spyglass_server.http.bodies import message_of
from spyglass_server.http.exchange import Answer, Exchanges, Operation
from spyglass_server.http.fields import fill
from spyglass_server.servicers.costs import cost_of_image

JSON = "application/json"
PNG = "image/png"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class NotAcceptable(InvalidInput):
    """The caller accepts no form that the response has."""

    default_reason = "NOT_ACCEPTABLE"


def vision_routes(handlers: Handlers, exchanges: Exchanges) -> list[Route]:
    """Return the routes of images and of models."""
    images = {
        "classify": _images("Classify", ClassifyRequest, handlers.classify_work, handlers, None),
        "heatmap": _images("Heatmap", HeatmapRequest, handlers.heatmap_work, handlers, _heatmap_drawing),
        "segment": _images("Segment", SegmentRequest, handlers.segment_work, handlers, _mask_drawing),
    }
    routes = [
        Route(f"/v1/{name}", partial(_run, exchanges, operation), methods=["POST"])
        for name, operation in images.items()
    ]
    listed = _models("ListModels", _list_request, handlers.list_models)
    one = _models("GetModel", _get_request, handlers.get_model)
    return [
        *routes,
        Route("/v1/models", partial(_run, exchanges, listed), methods=["GET"]),
        Route("/v1/models/{model}", partial(_run, exchanges, one), methods=["GET"]),
    ]


async def _run(exchanges: Exchanges, operation: Operation, request: Request) -> Response:
    return await exchanges.run(request, operation)


def _images(
    name: str,
    kind: Callable[[], Any],
    plan: Any,
    handlers: Handlers,
    drawing: _Drawing | None,
) -> Operation:
    parse = message_of(kind)

    def parse_for(request: Request, body: bytes) -> Message:
        message: Message = parse(request, body)
        if wants_png(request):
            if drawing is None:
                raise NotAcceptable(f"{name} has no drawing: accept {JSON}", field="accept")
            drawing.request(message)
        return message

    def render(request: Request, response: Any) -> Answer:
        if drawing and wants_png(request):
            return drawing.render(response)
        return json_answer(request, response)

    return Operation(
        f"/spyglass.v1.Vision/{name}", parse_for, partial(handlers.start, plan), render, cost_of_image
    )


def _models(
    name: str, parse: Callable[[Request, bytes], Any], handle: Callable[[Any, Call], Message]
) -> Operation:
    def start(message: Any, call: Call, done: Done) -> None:
        done(handle(message, call), None)

    return Operation(f"/spyglass.v1.Vision/{name}", parse, start, json_answer)


def _list_request(request: Request, body: bytes) -> ListModelsRequest:
    message = ListModelsRequest()
    fill(message, request.query_params.multi_items())
    return message


def _get_request(request: Request, body: bytes) -> GetModelRequest:
    message = GetModelRequest(model=model_ref(request.path_params["model"]))
    fill(message, [item for item in request.query_params.multi_items() if item[0] != "model"])
    return message


def json_answer(request: Request, response: Message) -> Answer:
    """Return the JSON form of a message, with the fields that are 0 or empty."""
    return Answer(
        json_format.MessageToJson(response, indent=None, always_print_fields_with_no_presence=True).encode(),
        JSON,
        response,
    )


def wants_png(request: Request) -> bool:
    """Return whether the caller prefers a PNG to JSON. Raises NotAcceptable if it accepts neither."""
    weights = {PNG: 0.0, JSON: 0.0}
    ranges = request.headers.get("accept", "*/*").split(",")
    for each in sorted(ranges, key=_precision):
        name, _, rest = each.partition(";")
        weight = _weight(rest)
        for known in weights:
            if name.strip().lower() in (known, f"{known.partition('/')[0]}/*", "*/*"):
                weights[known] = weight
    if not any(weights.values()):
        raise NotAcceptable(f"the response is {JSON} or {PNG}; accept one of them", field="accept")
    return weights[PNG] > weights[JSON]


def _precision(text: str) -> int:
    name = text.partition(";")[0].strip()
    return 0 if name == "*/*" else 1 if name.endswith("/*") else 2


def _weight(text: str) -> float:
    for part in text.split(";"):
        key, _, value = part.strip().partition("=")
        if key.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


class _Drawing:
    """How a caller gets a drawing in place of numbers."""

    def __init__(self, default: int, data: Callable[[Any], bytes]) -> None:
        self._default = default
        self._data = data

    def request(self, message: Any) -> None:
        """Request a drawing, unless the caller chose a format."""
        message.format = message.format or self._default

    def render(self, response: Any) -> Answer:
        """Return the drawing. Raises NotAcceptable if the caller chose a format that is no PNG."""
        data = self._data(response)
        if not data.startswith(_PNG_SIGNATURE):
            raise NotAcceptable(
                f"this format is no {PNG}: choose another one, or accept {JSON}", field="accept"
            )
        served_by = response.served_by
        headers = {"x-spyglass-model": f"{served_by.model}:{served_by.version}"}
        return Answer(data, PNG, response, headers)


_heatmap_drawing = _Drawing(HEATMAP_FORMAT_PNG_OVERLAY, lambda response: bytes(response.heatmap.data))
_mask_drawing = _Drawing(MASK_FORMAT_PNG_OVERLAY, lambda response: bytes(response.mask.data))
