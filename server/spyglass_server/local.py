"""Models in this process behind the client's interface: no server, no socket, no gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass.v1.heatmap_pb2 import HeatmapResponse
from spyglass.v1.segment_pb2 import SegmentResponse
from spyglass_client import Client, Retry, Timeout
from spyglass_contract.errors import InternalError, SpyglassError, Unimplemented
from spyglass_server.engine.call import Call

if TYPE_CHECKING:
    from spyglass_server.engine.engine import Engine

_RESPONSES: dict[str, type[Message]] = {
    "Classify": ClassifyResponse,
    "Heatmap": HeatmapResponse,
    "Segment": SegmentResponse,
}
# Threads for the calls of `AsyncClient`. A call waits most of its time; the engine bounds the work.
_THREADS = 64


def local_client(
    models: str | PathLike[str] | None = None,
    *,
    device: str = "auto",
    timeout: Timeout | None = None,
    retry: Retry | None = None,
    response_cache_bytes: int = 0,
) -> Client:
    """Return a client that runs models in this process: same results, errors, deadlines and streams.

    `models` is a folder of NAME/VERSION/model.onnx, None: the bundled models. A model is loaded when a call
    first needs it, and every call may raise ModelError if that fails. `device` is auto, cpu, cuda or cuda:N.
    `response_cache_bytes` is the memory for results that are kept for the same image; 0: none is.
    A call waits when a server would refuse it with Overloaded. Close the client to free the models. Raises
    ModelError if there are no models. Not for use in a process forked after the first call.
    """
    return Client(
        transport=local_transport(models, device=device, response_cache_bytes=response_cache_bytes),
        timeout=timeout or Timeout(),
        retry=retry or Retry(),
    )


def local_transport(
    models: str | PathLike[str] | None = None, *, device: str = "auto", response_cache_bytes: int = 0
) -> LocalTransport:
    """Return the transport of `local_client`, for `AsyncClient(transport=…)`."""
    # ONNX Runtime takes long to import: it is imported when a client is made, not with this module.
    from spyglass_contract.images.header import Limits
    from spyglass_server.engine.capacity.processors import usable_cpus
    from spyglass_server.engine.engine import Engine
    from spyglass_server.engine.models.bundled import bundled_models
    from spyglass_server.engine.models.model import Model, Resources
    from spyglass_server.engine.models.on_demand import OnDemandRepository
    from spyglass_server.engine.response_cache.response_cache import ResponseCache
    from spyglass_server.engine.scheduling.admission import Bounds
    from spyglass_server.engine.scheduling.workers import Workers

    cpus = usable_cpus()
    open_model = partial(Model.load, resources=Resources(device=device, workers=cpus))
    repository = OnDemandRepository(bundled_models() if models is None else Path(models), open_model)
    # Every local call is patient: none is refused.
    responses = ResponseCache(response_cache_bytes) if response_cache_bytes else None
    engine = Engine(repository, Workers(cpus, Bounds(_THREADS)), Limits(), responses)
    return LocalTransport(engine, window=2 * cpus)


class LocalTransport:
    """A `spyglass_client.Transport` whose calls run the server's handlers in this process."""

    def __init__(self, engine: Engine, *, window: int) -> None:
        """Each stream has at most `window` requests in work. `close` closes the engine."""
        from spyglass_server.handlers import Handlers

        handlers = Handlers(engine)
        self._handlers: dict[str, Callable[[Any, Call], Message]] = {
            "Classify": handlers.classify,
            "Heatmap": handlers.heatmap,
            "Segment": handlers.segment,
            "ListModels": handlers.list_models,
            "GetModel": handlers.get_model,
        }
        self._engine = engine
        self._window = window
        self._threads = ThreadPoolExecutor(_THREADS, "local-call")
        self._lock = Lock()
        self._calls: set[Call] = set()
        self._closed = False

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        """See `Transport.send`."""
        return self._handle(method, request, self._open_call(timeout))

    def start(self, method: str, request: Message, timeout: float | None) -> LocalPending:
        """See `NonBlockingTransport.start`."""
        call = self._open_call(timeout)
        return LocalPending(call, self._threads.submit(self._handle, method, request, call))

    def stream(self, method: str, requests: Iterator[Message]) -> LocalStream:
        """See `Transport.stream`."""
        return LocalStream(self._open_call(None), partial(self._handle_stream, method, requests))

    def close(self) -> None:
        """Cancel the calls in progress, and close the models; may be called again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            calls = list(self._calls)
        for call in calls:
            call.cancel()
        self._threads.shutdown()
        self._engine.close()

    def _open_call(self, timeout: float | None) -> Call:
        call = Call(None if timeout is None else time.monotonic() + timeout, patient=True)
        with self._lock:
            if self._closed:
                raise RuntimeError("the client is closed")
            self._calls.add(call)
        return call

    def _handle(self, method: str, request: Message, call: Call) -> Message:
        try:
            if method not in self._handlers:
                raise Unimplemented(
                    f"{method} needs a server: models in this process cannot be changed",
                    reason="ADMIN_NOT_LOCAL",
                )
            return self._handlers[method](request, call)
        except Exception as error:
            raise _local_error(error) from error
        finally:
            self._end_call(call)

    def _handle_stream(self, method: str, requests: Iterator[Any], call: Call) -> Iterator[Message]:
        from spyglass_server.streams import handle_stream

        handle: Callable[[Any, Call], Any] = self._handlers[method]
        response: Any = _RESPONSES[method]
        try:
            yield from handle_stream(requests, handle, response, call, _local_error, window=self._window)
        finally:
            self._end_call(call)

    def _end_call(self, call: Call) -> None:
        with self._lock:
            self._calls.discard(call)


class LocalPending:
    """A call that runs in a thread of the transport."""

    def __init__(self, call: Call, future: Future[Message]) -> None:
        self._call = call
        self._future = future

    def result(self) -> Message:
        """See `PendingResponse.result`."""
        return self._future.result()

    def cancel(self) -> None:
        """See `PendingResponse.cancel`."""
        self._call.cancel()

    def add_done_callback(self, callback: Callable[[object], object]) -> None:
        """See `PendingResponse.add_done_callback`."""
        self._future.add_done_callback(callback)


class LocalStream:
    """A call with many requests; they are handled while its responses are read."""

    def __init__(self, call: Call, handle: Callable[[Call], Iterator[Message]]) -> None:
        self._call = call
        self._handle = handle

    def __iter__(self) -> Iterator[Message]:
        return self._handle(self._call)

    def cancel(self) -> None:
        """See `ResponseStream.cancel`."""
        self._call.cancel()


def _local_error(error: Exception, request_id: str = "") -> SpyglassError:
    """Return the error for the caller. It has the text of the cause: in one process nothing is secret."""
    if isinstance(error, SpyglassError):
        return error
    return InternalError(f"{type(error).__name__}: {error}")
