"""An observation holds the image of its request: it must go when the request has ended."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_server.engine.observation import Observation

PATIENCE = 30


@pytest.fixture
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held(since: float) -> int:
    """The number of requests since then that observations hold."""
    found = [each for each in gc.get_objects() if isinstance(each, Observation)]
    return sum(each.request is not None and each.started > since for each in found)


@pytest.mark.usefixtures("no_garbage_collection")
def test_ended_requests_are_freed_at_once(
    server: Any, color_image: Callable[..., bytes], eventually: Callable[..., None]
) -> None:
    request, vision = ClassifyRequest(image=Image(encoded=color_image("red"))), server.vision

    began = time.monotonic()
    for _ in range(5):
        assert vision.Classify(request, timeout=PATIENCE).classes
        assert len(list(vision.ClassifyStream(iter([request] * 3), timeout=PATIENCE))) == 3

    eventually(lambda: held(began) == 0)
