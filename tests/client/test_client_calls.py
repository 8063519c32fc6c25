"""Single calls of both clients against a tiny server on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import spyglass_client as sc
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.model_pb2 import (
    TASK_CLASSIFY,
    TASK_SEGMENT,
    TASK_UNSPECIFIED,
    GetModelRequest,
    GetModelResponse,
    ModelCard,
    ModelRef,
)
from spyglass.v1.vision_pb2_grpc import VisionServicer
from spyglass_contract import errors

Connect = Callable[..., Any]
Serve = Callable[..., str]


class Failing:
    """Raises the given errors, one for each request; then returns cats."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    def __call__(self, request: ClassifyRequest) -> ClassifyResponse:
        if self._failures:
            raise self._failures.pop(0)
        return ClassifyResponse(id=request.id, index=request.index)


def test_a_result_has_classes_model_timing_and_id(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    result = connect(serve(fake_vision())).classify(b"image", id="holiday-7")
    assert result == sc.Classification(
        classes=(sc.ClassScore(1, "cat", 0.75), sc.ClassScore(0, "dog", 0.25)),
        model=sc.ServedBy("pets", 3, "ab" * 32, "CPUExecutionProvider"),
        timing=sc.Timing(1.5, 0.25, 4.0, 0.125, 2),
        id="holiday-7",
    )
    assert result.best.name == "cat"
    assert result.error is None


def test_a_result_as_json_has_the_fields_of_the_api(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    assert connect(serve(fake_vision())).classify(b"image").to_dict() == {
        "model": {"name": "pets", "version": 3, "precision": "fp32"},
        "classes": [
            {"index": 1, "name": "cat", "score": 0.75},
            {"index": 0, "name": "dog", "score": 0.25},
        ],
        "timing_ms": {"decode": 1.5, "queue": 0.25, "inference": 4.0, "encode": 0.125},
    }


def test_the_request_has_the_arguments_of_the_caller(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    fake = fake_vision()
    connect(serve(fake)).classify(b"image", model="pets@stable", top_k=2)
    (request,) = fake.requests
    assert request.image.encoded == b"image"
    assert request.model == ModelRef(name="pets", label="stable")
    assert request.top_k == 2


def test_arguments_that_the_caller_leaves_out_are_not_in_the_request(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    fake = fake_vision()
    connect(serve(fake)).classify(b"image")
    assert fake.requests[0].top_k == 0
    assert fake.requests[0].model == ModelRef()


@pytest.mark.parametrize("top_k", [0, -1, 2**32])
def test_an_invalid_top_k_is_rejected_before_anything_is_sent(connect: Connect, top_k: int) -> None:
    with pytest.raises(errors.InvalidInput, match="top_k"):
        connect("localhost:1").classify(b"image", top_k=top_k)


def test_a_missing_file_is_an_error_before_anything_is_sent(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(errors.ImageError, match="No such file"):
        connect("localhost:1").classify(tmp_path / "missing.jpg")


def test_the_models_are_listed(serve: Serve, connect: Connect, fake_vision: Callable[..., Any]) -> None:
    models = connect(serve(fake_vision())).models()
    assert [model.name for model in models] == ["digits", "pets"]
    assert models[0].task == "classify"
    assert models[0].to_dict()["class_count"] == 2


def test_a_model_shows_its_card(serve: Serve, connect: Connect, fake_vision: Callable[..., Any]) -> None:
    details = connect(serve(fake_vision())).model("pets:3")
    assert list(details.card.class_names) == ["dog", "cat"]
    assert details.served.name == "pets"


def test_an_error_has_its_reason_its_field_and_the_request_id(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    failing = Failing(errors.ImageError("cut off", reason="IMAGE_TRUNCATED", field="image"))
    with pytest.raises(errors.ImageError, match="cut off") as caught:
        connect(serve(fake_vision(failing))).classify(b"image")
    error = caught.value
    assert (error.reason, error.field, error.request_id) == ("IMAGE_TRUNCATED", "image", "request-7")


def test_a_call_to_a_server_that_is_not_ready_is_retried(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    fake = fake_vision(Failing(errors.Unavailable("starting"), errors.Overloaded("full", retry_after=0.001)))
    connect(serve(fake)).classify(b"image")
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    "error", [errors.NotFound("no"), errors.Overloaded("full for good"), errors.InternalError("a fault")]
)
def test_an_error_that_a_retry_cannot_help_is_not_retried(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any], error: errors.SpyglassError
) -> None:
    fake = fake_vision(Failing(error))
    with pytest.raises(type(error)):
        connect(serve(fake)).classify(b"image")
    assert len(fake.requests) == 1


def test_a_client_without_retries_does_not_retry(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    fake = fake_vision(Failing(errors.Unavailable("starting")))
    with pytest.raises(errors.Unavailable):
        connect(serve(fake), retry=sc.Retry(attempts=1)).classify(b"image")


def test_a_call_ends_at_its_deadline(serve: Serve, connect: Connect, fake_vision: Callable[..., Any]) -> None:
    released = threading.Event()

    def slow(request: ClassifyRequest) -> ClassifyResponse:
        released.wait(30)
        return ClassifyResponse()

    try:
        with pytest.raises(errors.DeadlineExceeded, match="no response came before the deadline"):
            connect(serve(fake_vision(slow))).classify(b"image", timeout=0.2)
    finally:
        released.set()


def test_an_unreachable_server_is_unavailable(connect: Connect) -> None:
    with pytest.raises(errors.Unavailable, match="cannot be reached") as caught:
        connect("localhost:1").classify(b"image")
    assert caught.value.reason == "UNREACHABLE"


def test_a_call_that_the_server_lacks_is_unimplemented(serve: Serve, connect: Connect) -> None:
    with pytest.raises(errors.Unimplemented):
        connect(serve(VisionServicer())).models()


def test_the_token_is_sent_with_each_call(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    fake = fake_vision()
    connect(serve(fake), credentials=sc.Credentials(token="s3cret")).classify(b"image")
    assert fake.metadata["authorization"] == "Bearer s3cret"


def test_an_image_of_any_size_is_sent_whole(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    with pytest.raises(errors.LimitExceeded) as caught:
        connect(serve(fake_vision())).classify(bytes(5 * 1024 * 1024))
    # The only limit is that of the server, here gRPC's four megabytes.
    assert caught.value.reason == "MESSAGE_TOO_LARGE"


def test_a_call_of_a_closed_client_is_an_error(
    serve: Serve, connect: Connect, fake_vision: Callable[..., Any]
) -> None:
    client = connect(serve(fake_vision()))
    client.classify(b"image")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.classify(b"image")


def test_a_client_takes_a_channel_of_the_caller(serve: Serve, fake_vision: Callable[..., Any]) -> None:
    target = serve(fake_vision())
    with sc.Client(open_channel=lambda: grpc.insecure_channel(target)) as client:
        assert client.classify(b"image").best.name == "cat"


async def test_an_asyncio_client_takes_a_channel_of_the_caller(
    serve: Serve, fake_vision: Callable[..., Any]
) -> None:
    target = serve(fake_vision())
    async with sc.AsyncClient(open_channel=lambda: grpc.insecure_channel(target)) as client:
        assert (await client.classify(b"image")).best.name == "cat"


def test_a_model_is_found_by_its_task(serve: Serve, connect: Connect) -> None:
    class Recording(VisionServicer):
        def GetModel(self, request: GetModelRequest, context: grpc.ServicerContext) -> GetModelResponse:
            return GetModelResponse(card=ModelCard(name=f"{request.model.name}/{request.task}"))

    client = connect(serve(Recording()))
    assert client.model().card.name == f"/{TASK_UNSPECIFIED}"
    assert client.model(task="segment").card.name == f"/{TASK_SEGMENT}"
    assert client.model("pets", task="classify").card.name == f"pets/{TASK_CLASSIFY}"
    for task in ("fly", 1, ["segment"]):
        with pytest.raises(errors.InvalidInput, match="task must be 'classify' or 'segment'") as refused:
            client.model(task=task)
        assert (refused.value.reason, refused.value.field) == ("TASK_UNKNOWN", "task")
