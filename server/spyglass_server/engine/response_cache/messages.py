"""The requests and responses of `spyglass.v1.Vision` in the response cache."""

from __future__ import annotations

from functools import partial
from typing import Any

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapRequest, HeatmapResponse
from spyglass.v1.reply_pb2 import Timing
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_server.engine.response_cache.reuse import Reuse

Request = ClassifyRequest | HeatmapRequest | SegmentRequest

_RESPONSES: dict[type[Message], Any] = {
    ClassifyRequest: ClassifyResponse,
    HeatmapRequest: HeatmapResponse,
    SegmentRequest: SegmentResponse,
}
# The fields that do not change the response, and those that the key of the cache holds in another form.
_NO_OPTIONS = frozenset({"id", "index", "timeout", "image", "model"})
# The fields of a response that are of one request alone.
_OWN_FIELDS = ("id", "index", "timing")


def reuse_of(request: Request) -> Reuse:
    """Return how the response to a request can be used again; it does not hold the image."""
    response = _RESPONSES[type(request)]
    return Reuse(_options(request), _kept, partial(_restored, response, request.id, request.index))


def _options(request: Request) -> bytes:
    """Return the name of the message, and all its fields but `_NO_OPTIONS`: a new field is an option."""
    options = type(request)()
    # The image is not copied.
    for field, value in request.ListFields():
        if field.name not in _NO_OPTIONS:
            _set(options, field.name, value)
    return request.DESCRIPTOR.full_name.encode() + b"\0" + options.SerializeToString(deterministic=True)


def _set(message: Message, name: str, value: object) -> None:
    if isinstance(value, Message):
        # An empty message is set, too: that is another option than none.
        getattr(message, name).CopyFrom(value)
    elif hasattr(value, "MergeFrom"):
        # A list or a map.
        getattr(message, name).MergeFrom(value)
    else:
        setattr(message, name, value)


def _kept(response: Any) -> bytes:
    kept = type(response)()
    kept.CopyFrom(response)
    for name in _OWN_FIELDS:
        kept.ClearField(name)
    data: bytes = kept.SerializeToString()
    return data


def _restored(response: Any, request_id: str, index: int, kept: bytes, queue_ms: float) -> Any:
    restored = response.FromString(kept)
    restored.id, restored.index = request_id, index
    restored.timing.CopyFrom(Timing(queue_ms=queue_ms, cached=True))
    return restored
