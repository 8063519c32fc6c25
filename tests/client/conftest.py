"""A tiny server whose responses a test chooses, on a real socket, and both clients with one interface."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from spyglass.v1.admin_pb2_grpc import AdminServicer, add_AdminServicer_to_server
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.model_pb2 import TASK_CLASSIFY, GetModelResponse, ListModelsResponse, ModelCard, ServedModel
from spyglass.v1.reply_pb2 import ClassScore, ServedBy, Timing
from spyglass.v1.vision_pb2_grpc import VisionServicer, add_VisionServicer_to_server
from spyglass_client import AsyncAdmin, AsyncClient, Client, Retry
from statuses import to_abort, to_status

Respond = Callable[[ClassifyRequest], ClassifyResponse]


def cat(request: ClassifyRequest) -> ClassifyResponse:
    """Return the class cat for any image."""
    return ClassifyResponse(
        id=request.id,
        index=request.index,
        classes=[ClassScore(index=1, name="cat", score=0.75), ClassScore(index=0, name="dog", score=0.25)],
        served_by=ServedBy(model="pets", version=3, sha256="ab" * 32, provider="CPUExecutionProvider"),
        timing=Timing(decode_ms=1.5, queue_ms=0.25, inference_ms=4, encode_ms=0.125, batch_size=2),
    )


class FakeVision(VisionServicer):
    """Responds with `respond`, records its requests, and fails if `respond` raises."""

    def __init__(self, respond: Respond = cat) -> None:
        self.respond = respond
        self.requests: list[ClassifyRequest] = []
        self.metadata: dict[str, str | bytes] = {}
        self.peers: set[str] = set()

    def Classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        self.peers.add(context.peer())
        return self._checked(lambda: self.respond(request), context)

    def ClassifyStream(
        self, request_iterator: Iterator[ClassifyRequest], context: grpc.ServicerContext
    ) -> Iterator[ClassifyResponse]:
        self.metadata = dict(context.invocation_metadata())
        for request in request_iterator:
            self.requests.append(request)
            try:
                reply = self.respond(request)
            except Exception as error:
                reply = ClassifyResponse(
                    id=request.id, index=request.index, error=to_status(error, "request-7")
                )
            yield reply

    def ListModels(self, request: object, context: grpc.ServicerContext) -> ListModelsResponse:
        return ListModelsResponse(models=[_served("digits"), _served("pets")])

    def GetModel(self, request: Any, context: grpc.ServicerContext) -> GetModelResponse:
        card = ModelCard(name=request.model.name, version=3, class_names=["dog", "cat"])
        return GetModelResponse(card=card, served=_served(request.model.name))

    def _checked(
        self, respond: Callable[[], ClassifyResponse], context: grpc.ServicerContext
    ) -> ClassifyResponse:
        try:
            return respond()
        except Exception as error:
            context.abort_with_status(to_abort(error, "request-7"))
            raise AssertionError from error


def _served(name: str) -> ServedModel:
    return ServedModel(name=name, version=3, task=TASK_CLASSIFY, class_count=2, workers=1, is_default=True)


Serve = Callable[..., str]


@pytest.fixture
def fake_vision() -> type[FakeVision]:
    return FakeVision


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve a servicer until the test ends: `serve(servicer)` returns its HOST:PORT."""
    servers = []

    def start(
        servicer: VisionServicer,
        credentials: grpc.ServerCredentials | None = None,
        admin: AdminServicer | None = None,
    ) -> str:
        server = grpc.server(ThreadPoolExecutor(8))
        add_VisionServicer_to_server(servicer, server)
        if admin:
            add_AdminServicer_to_server(admin, server)
        if credentials:
            port = server.add_secure_port("localhost:0", credentials)
        else:
            port = server.add_insecure_port("localhost:0")
        server.start()
        servers.append(server)
        return f"localhost:{port}"

    yield start
    for server in servers:
        server.stop(grace=None).wait()


QUICK = Retry(attempts=3, initial_backoff=0.01, max_backoff=0.02)


class Awaited:
    """The calls of `AsyncClient.admin` as blocking ones."""

    def __init__(self, loop: asyncio.AbstractEventLoop, admin: AsyncAdmin) -> None:
        self._loop = loop
        self._admin = admin

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._admin, name)
        return lambda *arguments, **options: self._loop.run_until_complete(method(*arguments, **options))


class Blocking:
    """The asyncio client with blocking calls: for tests of both clients."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name == "admin":
            return Awaited(self._loop, member)

        def call(*arguments: Any, **options: Any) -> Any:
            result = member(*arguments, **options)
            return (
                self._results(result) if inspect.isasyncgen(result) else self._loop.run_until_complete(result)
            )

        return call

    def _results(self, items: Any) -> Iterator[Any]:
        try:
            while (item := self._loop.run_until_complete(anext(items, None))) is not None:
                yield item
        finally:
            self._loop.run_until_complete(items.aclose())

    def end(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Connect a client of either kind: `connect(target, **options)` has quick retries."""
    clients: list[Any] = []

    def make(target: str, **options: Any) -> Any:
        options = {"retry": QUICK, **options}
        client = (Client if request.param == "blocking" else Blocking)(target, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        (client.close if isinstance(client, Client) else client.end)()
