"""Many callers at once: each gets its own response, and the server's memory stays small."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from PIL import Image as PillowImage

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.vision_pb2_grpc import VisionStub

pytestmark = pytest.mark.slow

PATIENCE = 60
MODELS = ("imagenet", "mnist-convnet")


def scores(reply: ClassifyResponse) -> dict[str, float]:
    """Return names and probabilities, rounded to six decimals, best first."""
    return {score.name: round(score.score, 6) for score in reply.classes}


@pytest.fixture(scope="module")
def inputs(
    chelsea: bytes, coffee: bytes, cat_files: dict[str, bytes], encode: Callable[..., bytes]
) -> list[tuple[bytes, str]]:
    """Pairs of an image and a model: images of many sizes and formats, each for both models."""
    cup = PillowImage.open(io.BytesIO(coffee)).convert("RGB")
    resized = [encode(cup.resize((40 * n, 300 - 30 * n)), "JPEG") for n in range(1, 9)]
    images = [chelsea, coffee, *cat_files.values(), *resized]
    return [(image, model) for image in images for model in MODELS]


def test_concurrent_callers_get_the_same_responses_as_single_callers(
    service: Any, inputs: list[tuple[bytes, str]]
) -> None:
    def classify(number: int) -> tuple[int, ClassifyResponse]:
        place = number % len(inputs)
        image, model = inputs[place]
        # Each call has a connection of its own, like a separate program.
        with grpc.insecure_channel(service.process.address) as channel:
            request = ClassifyRequest(id=str(number), image=Image(encoded=image), model=ModelRef(name=model))
            return place, VisionStub(channel).Classify(request, timeout=PATIENCE)

    alone = [scores(service.classify(image, model=ModelRef(name=model))) for image, model in inputs]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(classify, range(5 * len(inputs))))

    for number, (place, reply) in enumerate(replies):
        assert reply.id == str(number)
        assert reply.served_by.model == inputs[place][1]
        assert scores(reply) == alone[place]


def test_every_image_of_a_stream_of_two_hundred_is_classified(
    service: Any, inputs: list[tuple[bytes, str]]
) -> None:
    def requests() -> Iterator[ClassifyRequest]:
        for number in range(200):
            image, model = inputs[number % len(inputs)]
            yield ClassifyRequest(id=str(number), image=Image(encoded=image), model=ModelRef(name=model))

    replies = {reply.id: reply for reply in service.vision.ClassifyStream(requests(), timeout=PATIENCE)}

    assert set(replies) == {str(number) for number in range(200)}
    for number in range(200):
        reply = replies[str(number)]
        assert not reply.HasField("error")
        assert reply.served_by.model == inputs[number % len(inputs)][1]


def test_a_thousand_requests_leave_the_server_under_250_megabytes(
    start_service: Callable[..., Any], chelsea: bytes, coffee: bytes
) -> None:
    service = start_service()

    with ThreadPoolExecutor(8) as pool:
        images = [chelsea, coffee] * 500
        replies = list(pool.map(service.classify, images))

    assert all(len(reply.classes) == 5 for reply in replies)
    assert service.resident_megabytes < 250


def test_sigterm_lets_running_calls_finish_and_rejects_new_ones(
    start_service: Callable[..., Any], chelsea: bytes, eventually: Callable[..., None]
) -> None:
    service, go_on = start_service(), Event()
    watch = service.health.Watch(HealthCheckRequest(), timeout=PATIENCE)
    assert next(watch).status == HealthCheckResponse.SERVING

    def images() -> Iterator[ClassifyRequest]:
        yield ClassifyRequest(id="before", image=Image(encoded=chelsea))
        assert go_on.wait(PATIENCE)
        yield ClassifyRequest(id="after", image=Image(encoded=chelsea))

    stream = service.vision.ClassifyStream(images(), timeout=PATIENCE)
    assert next(stream).id == "before"
    service.process.process.send_signal(signal.SIGTERM)

    assert [reply.status for reply in watch] == [HealthCheckResponse.NOT_SERVING]
    # While gRPC closes its port, it cancels new calls.
    eventually(lambda: code_of_a_new_call(service) is not grpc.StatusCode.CANCELLED)
    assert code_of_a_new_call(service) is grpc.StatusCode.UNAVAILABLE
    go_on.set()
    (reply,) = stream
    assert reply.id == "after"
    assert len(reply.classes) == 5
    assert service.process.wait_until_ended() == 0


def code_of_a_new_call(service: Any) -> grpc.StatusCode:
    with grpc.insecure_channel(service.process.address) as channel:
        code: grpc.StatusCode = (
            VisionStub(channel).Classify.future(ClassifyRequest(), timeout=PATIENCE).code()
        )
        return code


def test_sigterm_under_load_loses_no_accepted_request(
    start_service: Callable[..., Any], coffee: bytes
) -> None:
    service = start_service()
    request = ClassifyRequest(image=Image(encoded=coffee))
    calls = [service.vision.Classify.future(request, timeout=PATIENCE) for _ in range(40)]

    assert calls[0].result(PATIENCE).classes
    service.process.process.send_signal(signal.SIGTERM)

    codes = [call.code() for call in calls]
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert service.process.wait_until_ended() == 0
    completed = [line for line in service.process.log if "code=OK" in line]
    assert len(completed) == codes.count(grpc.StatusCode.OK) >= 1
    assert not any("ERROR" in line for line in service.process.log)
