"""`classify_many` of both clients against a tiny server on a real socket."""

from __future__ import annotations

import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import spyglass_client as sc
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.vision_pb2_grpc import VisionServicer
from spyglass_contract import errors
from statuses import to_abort

Connect = Callable[..., Any]
Serve = Callable[..., str]
MakeVision = Callable[..., Any]


def echo(request: ClassifyRequest) -> ClassifyResponse:
    """Return a response whose model name is the text of the image."""
    reply = ClassifyResponse(id=request.id, index=request.index)
    reply.served_by.model = request.image.encoded.decode()
    return reply


def images(count: int) -> list[bytes]:
    return [f"image {number}".encode() for number in range(count)]


def names(results: Iterator[sc.Classification | sc.Failure]) -> list[str]:
    return [result.model.name for result in results if isinstance(result, sc.Classification)]


class Backwards(VisionServicer):
    """Responds to four images at a time, the last one first."""

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        while batch := list(itertools.islice(request_iterator, 4)):
            yield from map(echo, reversed(batch))


class Breaking(VisionServicer):
    """Ends each of its first streams with an error after `completed` images, and serves later streams."""

    def __init__(self, error: Exception | None, *, breaks: int = 1, completed: int = 2) -> None:
        self._error = error
        self._breaks = breaks
        self._completed = completed
        self.streams = 0

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        self.streams += 1
        if self.streams > self._breaks:
            yield from map(echo, request_iterator)
            return
        yield from map(echo, itertools.islice(request_iterator, self._completed))
        if self._error:
            context.abort_with_status(to_abort(self._error, "request-7"))


def test_results_come_in_the_order_of_the_images(serve: Serve, connect: Connect) -> None:
    results = connect(serve(Backwards())).classify_many(images(40), window=8)
    assert names(results) == [f"image {number}" for number in range(40)]


def test_without_images_there_are_no_results(serve: Serve, connect: Connect) -> None:
    assert list(connect(serve(Backwards())).classify_many([])) == []


def test_an_image_that_fails_does_not_affect_the_results_of_the_others(
    serve: Serve, connect: Connect, fake_vision: MakeVision, tmp_path: Path
) -> None:
    def respond(request: ClassifyRequest) -> ClassifyResponse:
        if request.image.encoded == b"bad":
            raise errors.ImageError("cut off", reason="IMAGE_TRUNCATED")
        return echo(request)

    client = connect(serve(fake_vision(respond)))
    results = list(client.classify_many([b"good", b"bad", tmp_path / "missing.jpg", b"fine"]))
    assert names(iter(results)) == ["good", "fine"]
    assert [result.error and result.error.reason for result in results] == [
        None,
        "IMAGE_TRUNCATED",
        "IMAGE_UNREADABLE",
        None,
    ]
    assert results[1].error.request_id == "request-7"
    with pytest.raises(errors.ImageError, match="cut off"):
        _ = results[1].best


def test_a_failure_as_json_is_an_error_object() -> None:
    failure = sc.Failure(errors.ImageError("cut off", reason="IMAGE_TRUNCATED"))
    assert failure.to_dict() == {
        "error": {"code": "INVALID_ARGUMENT", "reason": "IMAGE_TRUNCATED", "message": "cut off"}
    }


def test_images_are_taken_only_when_they_are_needed(
    serve: Serve, connect: Connect, fake_vision: MakeVision
) -> None:
    taken = itertools.count()
    endless = (f"image {next(taken)}".encode() for _ in itertools.count())
    results = connect(serve(fake_vision(echo))).classify_many(endless, window=4)
    assert names(itertools.islice(results, 50))[-1] == "image 49"
    results.close()
    assert next(taken) <= 50 + 4


def test_an_error_of_the_callers_iterator_of_images_is_raised(
    serve: Serve, connect: Connect, fake_vision: MakeVision
) -> None:
    def failing() -> Iterator[bytes]:
        yield b"image"
        raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        list(connect(serve(fake_vision(echo))).classify_many(failing()))


def test_an_invalid_model_name_is_rejected_before_any_image_is_taken(connect: Connect) -> None:
    with pytest.raises(errors.InvalidInput):
        connect("localhost:1").classify_many(iter([]), model="a:b:c")


def test_progress_is_reported(serve: Serve, connect: Connect, fake_vision: MakeVision) -> None:
    counted: list[int] = []
    list(connect(serve(fake_vision(echo))).classify_many(images(5), progress=counted.append))
    assert counted == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("error", [errors.Unavailable("draining"), None])
def test_images_of_a_broken_stream_are_sent_again_in_the_next_one(
    serve: Serve, connect: Connect, error: Exception | None
) -> None:
    breaking = Breaking(error, breaks=2)
    results = connect(serve(breaking)).classify_many(images(20), window=6)
    assert names(results) == [f"image {number}" for number in range(20)]
    assert breaking.streams == 3


def test_an_error_that_a_retry_cannot_help_is_raised(serve: Serve, connect: Connect) -> None:
    breaking = Breaking(errors.PermissionDenied("not yours"))
    with pytest.raises(errors.PermissionDenied, match="not yours"):
        list(connect(serve(breaking)).classify_many(images(5)))
    assert breaking.streams == 1


def test_a_server_without_streams_is_an_error(serve: Serve, connect: Connect) -> None:
    with pytest.raises(errors.Unimplemented):
        list(connect(serve(VisionServicer())).classify_many(images(3)))


def test_an_unreachable_server_is_unavailable(connect: Connect) -> None:
    with pytest.raises(errors.Unavailable):
        list(connect("localhost:1").classify_many(images(3)))


@pytest.mark.slow
def test_only_the_image_that_is_too_large_to_send_fails(
    serve: Serve, connect: Connect, fake_vision: MakeVision
) -> None:
    client = connect(serve(fake_vision(echo)))
    results = list(client.classify_many([b"before", bytes(5 * 1024 * 1024), b"after"]))
    assert names(iter(results)) == ["before", "after"]
    assert results[1].error.reason == "MESSAGE_TOO_LARGE"


@pytest.mark.slow
def test_an_image_without_a_response_fails_at_its_deadline(serve: Serve, connect: Connect) -> None:
    class Forgetful(VisionServicer):
        def ClassifyStream(
            self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
        ) -> Iterator[ClassifyResponse]:
            return (echo(request) for request in request_iterator if request.index != 1)

    results = list(connect(serve(Forgetful())).classify_many(images(4), timeout=1.0))
    assert [type(result.error) for result in results] == [
        type(None),
        errors.DeadlineExceeded,
        type(None),
        type(None),
    ]


def test_a_caller_that_stops_early_ends_the_call_on_the_server(serve: Serve, connect: Connect) -> None:
    ended = threading.Event()

    class Watching(VisionServicer):
        def ClassifyStream(
            self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
        ) -> Iterator[ClassifyResponse]:
            context.add_callback(ended.set)
            return map(echo, request_iterator)

    results = connect(serve(Watching())).classify_many(images(50), window=2)
    next(results)
    assert not ended.is_set()
    results.close()
    assert ended.wait(10)


async def test_an_asyncio_client_takes_asynchronous_images(serve: Serve, fake_vision: MakeVision) -> None:
    async def source() -> AsyncIterator[bytes]:
        for image in images(7):
            yield image

    async with sc.AsyncClient(serve(fake_vision(echo))) as client:
        results = [result async for result in client.classify_many(source(), window=3)]
    assert names(iter(results)) == [f"image {number}" for number in range(7)]
