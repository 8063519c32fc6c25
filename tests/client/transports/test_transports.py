"""A transport of the caller in place of gRPC, for both clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import spyglass_client as sc
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.model_pb2 import ListModelsResponse, ServedModel
from spyglass.v1.reply_pb2 import ClassScore


class Stream:
    """The responses of a stream, made from its requests."""

    def __init__(self, responses: Iterator[Any]) -> None:
        self._responses = responses
        self.cancelled = False

    def __iter__(self) -> Iterator[Any]:
        return self._responses

    def cancel(self) -> None:
        self.cancelled = True


class CatTransport:
    """Returns a cat for every image; raises `errors` first, one for each call."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.sent: list[tuple[str, Any, float | None]] = []
        self.closed = 0

    def send(self, method: str, request: Any, timeout: float | None) -> Any:
        self.sent.append((method, request, timeout))
        if self.errors:
            raise self.errors.pop(0)
        if method == "ListModels":
            return ListModelsResponse(models=[ServedModel(name="cats", version=1)])
        return self._cat(request)

    def stream(self, method: str, requests: Iterator[Any]) -> Stream:
        return Stream(self._stream(method, requests))

    def close(self) -> None:
        self.closed += 1

    def _stream(self, method: str, requests: Iterator[Any]) -> Iterator[Any]:
        for request in requests:
            self.sent.append((method, request, None))
            if self.errors:
                raise self.errors.pop(0)
            yield self._cat(request)

    def _cat(self, request: ClassifyRequest) -> ClassifyResponse:
        return ClassifyResponse(
            id=request.id, index=request.index, classes=[ClassScore(index=1, name="cat", score=0.5)]
        )


def test_a_client_sends_its_calls_over_any_transport() -> None:
    transport = CatTransport()
    with sc.Client(transport=transport, timeout=sc.Timeout(call=7)) as client:
        assert client.classify(b"image", id="one").best.name == "cat"
        assert client.models()[0].name == "cats"
        assert [result.id for result in client.classify_many([b"a", b"b"])] == ["0", "1"]
    (method, request, timeout), *_ = transport.sent
    assert (method, request.image.encoded, request.id) == ("Classify", b"image", "one")
    assert timeout == pytest.approx(7, abs=0.5)
    assert transport.closed == 1


def test_an_asyncio_client_takes_a_transport_that_only_blocks() -> None:
    async def classify() -> tuple[str, list[str]]:
        async with sc.AsyncClient(transport=CatTransport()) as client:
            single = await client.classify(b"image")
            return single.best.name, [result.id async for result in client.classify_many([b"a", b"b"])]

    assert asyncio.run(classify()) == ("cat", ["0", "1"])


QUICK = sc.Retry(attempts=3, initial_backoff=0.001, max_backoff=0.002)


def test_the_client_retries_over_any_transport() -> None:
    transport = CatTransport(sc.Unavailable("starting"), sc.Overloaded("full", retry_after=0.001))
    assert sc.Client(transport=transport, retry=QUICK).classify(b"image").best.name == "cat"
    assert len(transport.sent) == 3


def test_an_error_that_a_retry_cannot_help_is_raised_at_once() -> None:
    transport = CatTransport(sc.ImageError("broken"))
    with pytest.raises(sc.ImageError, match="broken"):
        sc.Client(transport=transport, retry=QUICK).classify(b"image")
    assert len(transport.sent) == 1


def test_a_stream_that_breaks_is_started_again() -> None:
    transport = CatTransport(sc.Unavailable("lost"))
    results = sc.Client(transport=transport, retry=QUICK).classify_many([b"a", b"b", b"c"])
    assert [result.best.name for result in results] == ["cat"] * 3


@pytest.mark.parametrize("error", [ValueError("odd"), sc.PermissionDenied("no")])
def test_a_stream_with_a_permanent_error_raises_and_does_not_hang(error: Exception) -> None:
    results = sc.Client(transport=CatTransport(error), retry=QUICK).classify_many([b"a"])
    with pytest.raises(sc.SpyglassError, match=r"odd|no"):
        list(results)


@pytest.mark.parametrize("make", [sc.Client, sc.AsyncClient])
@pytest.mark.parametrize(
    "option",
    [
        {"target": "elsewhere:1"},
        {"credentials": sc.Credentials(token="t")},
        {"open_channel": lambda: None},
    ],
    ids=str,
)
def test_a_transport_and_an_option_of_the_connection_are_rejected_together(
    make: Callable[..., Any], option: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="transport"):
        make(transport=CatTransport(), **option)


def test_a_client_with_a_transport_does_not_import_grpc() -> None:
    program = (
        "import sys, spyglass_client\n"
        "class Transport:\n"
        "    def close(self): pass\n"
        "with spyglass_client.Client(transport=Transport()): pass\n"
        "print('grpc' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
