"""One HTTP request as a call of the engine: observed, admitted, cancelled and ended as gRPC's calls are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from threading import get_ident
from traceback import clear_frames
from typing import Any

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response

from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.status_codes import status_code
from spyglass_contract.statuses import REQUEST_ID_HEADER
from spyglass_server.engine.call import Call
from spyglass_server.engine.observation import Metadata, Observation
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.faults import public_error
from spyglass_server.http.arrivals import Arrivals, Body
from spyglass_server.http.connections import PEER_NAMES
from spyglass_server.http.statuses import problem_response
from spyglass_server.observing.observers import Observers
from spyglass_server.request_id import request_id_of, using_request_id
from spyglass_server.servicers.context import new_call
from spyglass_server.servicers.costs import Cost
from spyglass_server.servicers.entrance import Entrance
from spyglass_server.servicers.readiness import Readiness

TIMEOUT_HEADER = "x-request-timeout"
"""The seconds that a caller waits for the response; then the server drops the request."""

# What takes longer to parse, or to look up in the response cache, goes to a thread.
_SMALL_BYTES = 16 * 1024
_LONGEST_TIMEOUT = 1e8


@dataclass(frozen=True)
class Answer:
    """A response of the handlers, and as it is sent."""

    content: bytes
    media_type: str
    # What observers read: a message of the API, if there is one.
    response: Message | None = None
    headers: Mapping[str, str] | None = None
    status: int = 200


@dataclass(frozen=True)
class Operation:
    """What an endpoint does with its requests."""

    # The path of the same method over gRPC: scopes, limits, metrics and log know it.
    method: str
    # Makes a message or a value of a body. Raises InvalidInput. Must be safe on any thread.
    parse: Callable[[Request, bytes], Any]
    # Starts a request; see `Handlers.start`.
    start: Callable[[Any, Call, Done], object]
    # Makes the answer of the handlers' response, in the thread that responds; not in that of the loop.
    render: Callable[[Request, Any], Answer]
    # None: callers' limits do not count the request.
    cost: Cost | None = None
    problem: Callable[[SpyglassError, str], Response] = problem_response


class Exchanges:
    """Runs requests, on one event loop."""

    def __init__(
        self,
        readiness: Readiness,
        entrance: Entrance,
        observers: Observers,
        arrivals: Arrivals,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._readiness = readiness
        self._entrance = entrance
        self._observers = observers
        self._arrivals = arrivals
        self._threads = threads

    async def run(self, request: Request, operation: Operation) -> Response:
        """Return the response to a request, or the problem with it."""
        metadata = metadata_of(request)
        observation = self._observers.begin(Observation(operation.method, request_id_of(metadata), metadata))
        exchange = _Exchange(request, operation, observation, self._threads)
        try:
            answer = await self._answer(exchange, metadata)
        except Exception as error:
            return self._failed(exchange, error)
        observation.answered(answer.response, len(answer.content))
        self._observers.end(observation, "OK")
        return Response(
            answer.content,
            answer.status,
            media_type=answer.media_type,
            headers={REQUEST_ID_HEADER: observation.request_id, **(answer.headers or {})},
        )

    def in_thread(self, handle: Callable[[], object], done: Done) -> None:
        """Run what may take long on a thread."""

        def run() -> None:
            try:
                done(handle(), None)
            except Exception as error:
                done(None, error)

        self._threads.submit(run)

    async def _answer(self, exchange: _Exchange, metadata: Metadata) -> Answer:
        request, operation, observation = exchange.request, exchange.operation, exchange.observation
        peer = _Peer(request, metadata)
        call = new_call(peer.peer(), metadata, timeout_of(request), request_id=observation.request_id)
        call.observation, observation.call = observation, call
        call.caller = self._entrance.caller(operation.method, peer)
        if not self._readiness.is_open:
            raise self._readiness.refusal()
        if operation.cost:
            self._entrance.check(call.caller)
        body = await self._arrivals.receive(request, call)
        try:
            observation.request_bytes = len(body.data)
            parsed = await self._parsed(exchange, body)
            observation.request = parsed
            leave = operation.cost and self._entrance.begin(call.caller, parsed, operation.cost)
            try:
                return await exchange.response(parsed, call)
            finally:
                if leave:
                    leave()
        finally:
            body.close()

    async def _parsed(self, exchange: _Exchange, body: Body) -> Any:
        parse, request = exchange.operation.parse, exchange.request
        if len(body.data) <= _SMALL_BYTES:
            return parse(request, body.data)
        return await asyncio.get_running_loop().run_in_executor(self._threads, parse, request, body.data)

    def _failed(self, exchange: _Exchange, error: Exception) -> Response:
        observation = exchange.observation
        request_id = observation.request_id
        with using_request_id(request_id):
            public = public_error(error, request_id)
        # The frames hold the request. It is not needed any more.
        clear_frames(error.__traceback__)
        response = exchange.operation.problem(public, request_id)
        self._observers.end(observation, status_code(public), public.reason)
        return response


class _Exchange:
    """One request and its response."""

    def __init__(
        self, request: Request, operation: Operation, observation: Observation, threads: ThreadPoolExecutor
    ) -> None:
        self.request = request
        self.operation = operation
        self.observation = observation
        self._threads = threads

    async def response(self, parsed: Any, call: Call) -> Answer:
        """Start the request, and wait for its answer, or for the end of the connection."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()
        thread_of_loop = get_ident()

        def done(response: object, error: Exception | None) -> None:
            # In the thread that responds: the loop only sends bytes.
            if error is None and get_ident() == thread_of_loop:
                self._threads.submit(finish, response, None)
            else:
                finish(response, error)

        def finish(response: object, error: Exception | None) -> None:
            answer = None
            if not error:
                try:
                    answer = self.operation.render(self.request, response)
                except Exception as problem:
                    error = problem
            # If the server has ended without waiting longer, its loop has, too.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, answered, answer, error)

        gone = asyncio.ensure_future(_disconnected(self.request.receive))
        try:
            if self.observation.request_bytes <= _SMALL_BYTES:
                self.operation.start(parsed, call, done)
            else:
                await loop.run_in_executor(self._threads, self.operation.start, parsed, call, done)
            await asyncio.wait((answered, gone), return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                call.cancel()
            return await answered
        finally:
            gone.cancel()


def _settle(answered: asyncio.Future[Answer], answer: Answer | None, error: Exception | None) -> None:
    if answered.done():
        return
    if answer is not None:
        answered.set_result(answer)
    elif error:
        answered.set_exception(error)


async def _disconnected(receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def metadata_of(request: Request) -> Metadata:
    """Return the headers of a request as metadata: lower-case names, texts."""
    return tuple((key, value) for key, value in request.headers.items())


def timeout_of(request: Request) -> float | None:
    """Return the seconds that the caller waits; None: it does not say. Raises InvalidInput."""
    text = request.headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < _LONGEST_TIMEOUT:
        raise InvalidInput(
            f"{TIMEOUT_HEADER} must be a positive number of seconds, not {text[:50]!r}",
            reason="TIMEOUT_INVALID",
            field=TIMEOUT_HEADER,
        )
    return seconds


class _Peer:
    """Who sends a request, as `Entrance` needs it."""

    def __init__(self, request: Request, metadata: Metadata) -> None:
        self._request = request
        self._metadata = metadata

    def peer(self) -> str:
        """Return the address as gRPC writes it, such as `ipv4:10.0.0.7:51234`."""
        client = self._request.client
        if client is None:
            return "unix:"
        return (
            f"ipv6:[{client.host}]:{client.port}"
            if ":" in client.host
            else f"ipv4:{client.host}:{client.port}"
        )

    def metadata(self) -> Metadata:
        """Return the headers."""
        return self._metadata

    def auth_context(self) -> Mapping[Any, Sequence[bytes]]:
        """Return the names in the client's certificate."""
        names: Sequence[str] = self._request.scope.get(PEER_NAMES, ())
        return {"x509_common_name": [name.encode() for name in names]} if names else {}
