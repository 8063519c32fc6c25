"""The asyncio client: `Client` with `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass_client import _calls
from spyglass_client._client import DEFAULT_TARGET, DEFAULT_WINDOW
from spyglass_client._models import ModelDetails, ServedModel
from spyglass_client._options import (
    ANONYMOUS,
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT,
    Credentials,
    Retry,
    Timeout,
)
from spyglass_client._pictures import Picture
from spyglass_client._pipeline import Pipeline
from spyglass_client._results import Answer, Classification
from spyglass_contract.errors import SpyglassError

if TYPE_CHECKING:
    import grpc


class AsyncClient:
    """Asks a Spyglass server without blocking. Arguments, answers and errors are those of `Client`.

    To cancel a task cancels its call on the server.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        retry: Retry = DEFAULT_RETRY,
        credentials: Credentials = ANONYMOUS,
        open_channel: Callable[[], grpc.Channel] | None = None,
    ) -> None:
        """Connects to `target`, HOST:PORT, at the first call. `open_channel` as in `Client`."""
        from spyglass_client import _channels, _transport

        self._timeout = timeout
        self._retry = retry
        self._transport = _transport.Transport(
            open_channel or (lambda: _channels.open_channel(target, timeout, credentials)),
            retry,
            credentials.metadata,
        )

    async def classify(
        self,
        picture: Picture,
        *,
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Classification:
        """As `Client.classify`; a file is read in a thread."""
        request = _calls.classify_request(model=model, top_k=top_k, request_id=id)
        complete = await asyncio.to_thread(_calls.with_picture, request, picture)
        return await self._transport.ask_async(
            _calls.classify_call(complete), self._timeout.override(timeout)
        )

    def classify_many(
        self,
        pictures: Iterable[Picture] | AsyncIterable[Picture],
        *,
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Answer]:
        """As `Client.classify_many`; `pictures` may be asynchronous, too."""
        from spyglass_client._async_stream import run_async

        request = _calls.classify_request(model=model, top_k=top_k)
        pipeline = Pipeline(
            window=window, retry=self._retry, seconds=self._timeout.override(timeout), progress=progress
        )
        return run_async(pipeline, _requests(request, pictures), self._transport.stream)

    async def models(self) -> tuple[ServedModel, ...]:
        """As `Client.models`."""
        return await self._transport.ask_async(_calls.models_call(), self._timeout.call)

    async def model(self, name: str, *, with_golden: bool = False) -> ModelDetails:
        """As `Client.model`."""
        call = _calls.model_call(name, with_golden=with_golden)
        return await self._transport.ask_async(call, self._timeout.call)

    async def close(self) -> None:
        """Closes the connection; calls under way are cancelled. May be called again."""
        self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


async def _requests(
    request: ClassifyRequest, pictures: Iterable[Picture] | AsyncIterable[Picture]
) -> AsyncIterator[ClassifyRequest | SpyglassError]:
    if isinstance(pictures, AsyncIterable):
        async for picture in pictures:
            yield await asyncio.to_thread(_calls.request_or_error, request, picture)
    else:
        for picture in pictures:
            yield await asyncio.to_thread(_calls.request_or_error, request, picture)
