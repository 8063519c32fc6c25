"""The kinds of requests of a soak test. Each returns the statuses of the requests that it sent."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import grpc

from measuring.images import photo, tiny
from measuring.outcomes import OK
from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass.v1.vision_pb2_grpc import VisionStub

STREAMED, BURST = 40, 100
# A burst takes longer than its deadline, so a part of it cannot be answered in time.
_TIMEOUT, _HURRIED_TIMEOUT, _BURST_TIMEOUT = 60.0, 0.002, 0.1
# Beside a burst, any request may be refused.
_REFUSED = "RESOURCE_EXHAUSTED"
_ENDED = frozenset({OK, _REFUSED, "DEADLINE_EXCEEDED", "CANCELLED"})

Request = TypeVar("Request", ClassifyRequest, HeatmapRequest, SegmentRequest)
Send = Callable[[VisionStub, random.Random], list[str]]


@dataclass(frozen=True)
class Kind:
    """Requests of one kind: their weight in the mixture, the number in one `send`, what may come back."""

    name: str
    weight: float
    requests: int
    send: Send
    allowed: frozenset[str]


def kinds(model: str, tiny_model: str, mask_model: str) -> list[Kind]:
    """Return all kinds; the weights are shares of the requests."""
    photograph, small = photo(500, 375), tiny()
    good = frozenset({OK, _REFUSED})
    bad = frozenset({"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", _REFUSED})
    classify = _request(ClassifyRequest(), small, tiny_model)
    large = _request(ClassifyRequest(), photograph, model)
    explain = _request(HeatmapRequest(), photograph, model)
    segment = _request(SegmentRequest(), photograph, mask_model)
    return [
        Kind("tiny image", 0.50, 1, _unary("Classify", classify), good),
        Kind("photograph", 0.10, 1, _unary("Classify", large), good),
        Kind("heatmap", 0.04, 1, _unary("Heatmap", explain), good),
        Kind("segment", 0.01, 1, _unary("Segment", segment), good),
        Kind("stream", 0.16, STREAMED, _stream(classify), good | bad),
        Kind("bad image", 0.08, 1, _bad(photograph, tiny_model, model), bad),
        Kind("cancelled", 0.03, 1, _cancelled(explain), _ENDED),
        Kind("short deadline", 0.03, 1, _unary("Heatmap", explain, _HURRIED_TIMEOUT), _ENDED),
        Kind("burst", 0.05, BURST, _burst(large), _ENDED),
    ]


def _request(request: Request, image: bytes, model: str) -> Request:
    request.image.encoded = image
    request.model.name = model
    return request


def _unary(method: str, request: object, timeout: float = _TIMEOUT) -> Send:
    def send(stub: VisionStub, chance: random.Random) -> list[str]:
        try:
            getattr(stub, method)(request, timeout=timeout)
        except grpc.RpcError as error:
            return [error.code().name]  # type: ignore[attr-defined]
        return [OK]

    return send


def _bad(photograph: bytes, tiny_model: str, model: str) -> Send:
    """Return requests with images that cannot be decoded, of models that do not exist, or for no heatmap."""
    broken = (b"", b"not an image", photograph[: len(photograph) // 3], photograph[:200], b"\xff\xd8" * 5000)
    sends = [_unary("Classify", _request(ClassifyRequest(), image, tiny_model)) for image in broken]
    sends.append(_unary("Classify", _request(ClassifyRequest(), photograph, "no-such-model")))
    sends.append(_unary("Segment", _request(SegmentRequest(), photograph, model)))
    return lambda stub, chance: chance.choice(sends)(stub, chance)


def _cancelled(request: HeatmapRequest) -> Send:
    def send(stub: VisionStub, chance: random.Random) -> list[str]:
        call = stub.Heatmap.future(request, timeout=_TIMEOUT)
        time.sleep(chance.uniform(0, 0.02))
        call.cancel()
        return [call.code().name]

    return send


def _stream(request: ClassifyRequest) -> Send:
    """Return streams in which one image is bad, and of which some are left before their end."""

    def send(stub: VisionStub, chance: random.Random) -> list[str]:
        wrong, left = chance.randrange(STREAMED), chance.choice((STREAMED, STREAMED, STREAMED // 2))

        def requests() -> Iterator[ClassifyRequest]:
            for index in range(STREAMED):
                message = ClassifyRequest()
                message.CopyFrom(request)
                message.index = index
                if index == wrong:
                    message.image.encoded = b"not an image"
                yield message

        found: list[str] = []
        call = stub.ClassifyStream(requests(), timeout=_TIMEOUT)
        try:
            for response in call:
                found.append(_status_name(response.error.code))
                if len(found) == left:
                    call.cancel()
                    break
        except grpc.RpcError as error:
            found.append(error.code().name)  # type: ignore[attr-defined]
        return found

    return send


def _burst(request: ClassifyRequest) -> Send:
    """Return many requests at once, of which the server refuses some."""

    def send(stub: VisionStub, chance: random.Random) -> list[str]:
        found: list[str] = []
        ended = threading.Semaphore(0)

        def end(call: grpc.Future) -> None:
            found.append(call.code().name)  # type: ignore[attr-defined]
            ended.release()

        for _ in range(BURST):
            stub.Classify.future(request, timeout=_BURST_TIMEOUT).add_done_callback(end)
        for _ in range(BURST):
            ended.acquire()
        return found

    return send


def _status_name(code: int) -> str:
    return next(each.name for each in grpc.StatusCode if each.value[0] == code)
