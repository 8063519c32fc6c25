"""An observation holds the image of its request: it must go when the request has ended."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import GetModelRequest, ModelRef
from spyglass_server.engine.observation import Observation

PATIENCE = 30


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> int:
    """The number of requests that observations hold."""
    found = [each for each in gc.get_objects() if isinstance(each, Observation)]
    return sum(each.request is not None for each in found)


@pytest.mark.usefixtures("no_garbage_collection")
def test_ended_requests_are_freed_at_once(
    server: Any, color_image: Callable[..., bytes], eventually: Callable[..., None]
) -> None:
    good = ClassifyRequest(image=Image(encoded=color_image("red")))
    broken = ClassifyRequest(image=Image(encoded=b"no image"))
    unknown = ClassifyRequest(image=good.image, model=ModelRef(name="unknown"))
    vision = server.vision

    for request in (good, broken, unknown):
        for call in (
            lambda request=request: vision.Classify(request, timeout=PATIENCE),
            lambda request=request: list(vision.ClassifyStream(iter([request] * 3), timeout=PATIENCE)),
        ):
            try:
                call()
            except grpc.RpcError as error:
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    for call in (
        lambda: vision.Heatmap(HeatmapRequest(image=good.image), timeout=PATIENCE),
        lambda: vision.GetModel(GetModelRequest(model=ModelRef(name="colors")), timeout=PATIENCE),
    ):
        try:
            call()
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION

    eventually(lambda: held() == 0)
