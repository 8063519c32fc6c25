"""The methods of Vision that carry images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass.v1.vision_pb2 import DESCRIPTOR
from spyglass_contract.errors import SpyglassError
from spyglass_contract.statuses import status_from_error
from spyglass_server.engine.text import MAX_ID_CHARACTERS
from spyglass_server.handlers import Handlers
from spyglass_server.interceptors.parsing import Parser
from spyglass_server.servicers.costs import cost_of_image
from spyglass_server.servicers.direct.method import Method

_VISION = DESCRIPTOR.services_by_name["Vision"]


def vision_methods(handlers: Handlers) -> Iterator[tuple[Method, Method]]:
    """Yield each method for one image, and its method for a stream of them."""
    kinds: tuple[tuple[str, Any, Any, Any], ...] = (
        ("Classify", ClassifyRequest, ClassifyResponse, handlers.classify_work),
        ("Segment", SegmentRequest, SegmentResponse, handlers.segment_work),
        ("Heatmap", HeatmapRequest, HeatmapResponse, handlers.heatmap_work),
    )
    for name, request, response, plan in kinds:
        method = partial(
            Method,
            parse=Parser(request.FromString),
            start=partial(handlers.start, plan),
            check=handlers.check,
            failed=partial(_failed, response),
            model_name=_model_name,
            cost=cost_of_image,
        )
        path = f"/{_VISION.full_name}/{name}"
        yield method(path), method(f"{path}Stream")


def _failed(response: Any, request: Any, error: SpyglassError, request_id: str) -> Message:
    """Return the response that holds an error."""
    failed: Message = response(
        id=request.id[:MAX_ID_CHARACTERS],
        index=request.index,
        error=status_from_error(error, request_id),
    )
    return failed


def _model_name(request: Any) -> str:
    name: str = request.model.name
    return name
