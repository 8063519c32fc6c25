"""The asyncio client: `Client` with `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spyglass_client import _calls
from spyglass_client._admin.async_admin import AsyncAdmin
from spyglass_client._client import DEFAULT_WINDOW, Result
from spyglass_client._dispatch import Dispatch
from spyglass_client._images import ImageLike
from spyglass_client._options import (
    ANONYMOUS,
    DEFAULT_BALANCE,
    DEFAULT_KEEP_ALIVE,
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT,
    Balance,
    Credentials,
    Hedging,
    KeepAlive,
    Retry,
    Timeout,
)
from spyglass_client._results.classifications import Classification, Failure, Target
from spyglass_client._results.heatmaps import Heatmap
from spyglass_client._results.models import ModelDetails, ServedModel, Task
from spyglass_client._results.segmentations import MaskSize, Refinement, Segmentation
from spyglass_client._results.versions import ModelVersions
from spyglass_client._sending import send_async
from spyglass_client._tracing import StreamSpan
from spyglass_client._transports.opening import DEFAULT_TARGET, transport_for
from spyglass_client._transports.transport import Transport
from spyglass_contract.errors import SpyglassError

if TYPE_CHECKING:
    import grpc


class AsyncClient:
    """Calls a Spyglass server without blocking. Arguments, results and errors are those of `Client`.

    If a task is cancelled, its call on the server is cancelled, too.
    """

    def __init__(
        self,
        target: str | Sequence[str] = DEFAULT_TARGET,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        retry: Retry = DEFAULT_RETRY,
        credentials: Credentials = ANONYMOUS,
        balance: Balance = DEFAULT_BALANCE,
        keep_alive: KeepAlive = DEFAULT_KEEP_ALIVE,
        hedging: Hedging | None = None,
        bulk: bool = False,
        open_channel: Callable[[], grpc.Channel] | None = None,
        transport: Transport | None = None,
    ) -> None:
        """Connect to `target` at the first call; the arguments are those of `Client`."""
        opened = transport_for(
            target,
            timeout,
            credentials,
            open_channel,
            transport,
            bulk=bulk,
            balance=balance,
            keep_alive=keep_alive,
        )
        self._dispatch = Dispatch(opened, timeout, retry, hedging)

    async def classify(
        self,
        image: ImageLike,
        *,
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Classification:
        """See `Client.classify`; a file is read in a thread."""
        image_call = _calls.classification(model=model, top_k=top_k, request_id=id)
        return await self._send_image(image_call, image, timeout)

    def classify_many(
        self,
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        *,
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Classification | Failure]:
        """See `Client.classify_many`; `images` may be asynchronous."""
        image_call = _calls.classification(model=model, top_k=top_k)
        return self._call_many(image_call, images, window, progress, timeout)

    async def heatmap(
        self,
        image: ImageLike,
        *,
        target: Target | None = None,
        further: Sequence[Target] = (),
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Heatmap:
        """See `Client.heatmap`; a file is read in a thread."""
        image_call = _calls.explanation(
            model=model, target=target, further=further, top_k=top_k, request_id=id
        )
        return await self._send_image(image_call, image, timeout)

    def heatmap_many(
        self,
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        *,
        target: Target | None = None,
        further: Sequence[Target] = (),
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Heatmap | Failure]:
        """See `Client.heatmap_many`; `images` may be asynchronous."""
        image_call = _calls.explanation(model=model, target=target, further=further, top_k=top_k)
        return self._call_many(image_call, images, window, progress, timeout)

    async def segment(
        self,
        image: ImageLike,
        *,
        model: str = "",
        size: MaskSize = "image",
        refine: Sequence[Refinement] = (),
        soft: Target | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Segmentation:
        """See `Client.segment`; a file is read in a thread."""
        image_call = _calls.segmentation(model=model, size=size, refine=refine, soft=soft, request_id=id)
        return await self._send_image(image_call, image, timeout)

    def segment_many(
        self,
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        *,
        model: str = "",
        size: MaskSize = "image",
        refine: Sequence[Refinement] = (),
        soft: Target | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Segmentation | Failure]:
        """See `Client.segment_many`; `images` may be asynchronous."""
        image_call = _calls.segmentation(model=model, size=size, refine=refine, soft=soft)
        return self._call_many(image_call, images, window, progress, timeout)

    async def models(self) -> tuple[ServedModel, ...]:
        """See `Client.models`."""
        return await self._send(_calls.models_call())

    async def versions(self) -> ModelVersions:
        """See `Client.versions`."""
        return await self._send(_calls.versions_call())

    async def model(
        self, name: str = "", *, task: Task | None = None, with_golden: bool = False
    ) -> ModelDetails:
        """See `Client.model`."""
        return await self._send(_calls.model_call(name, task, with_golden=with_golden))

    @property
    def admin(self) -> AsyncAdmin:
        """See `Client.admin`."""
        return AsyncAdmin(self._send)

    async def _send(self, call: _calls.Call[Result], timeout: float | None = None) -> Result:
        dispatch = self._dispatch
        return await send_async(
            call,
            dispatch.route(),
            dispatch.attempts(call, timeout),
            dispatch.hedging(call),
            blocking=dispatch.blocking,
        )

    async def _send_image(
        self, image_call: _calls.ImageCall[Result], image: ImageLike, timeout: float | None
    ) -> Result:
        call = await asyncio.to_thread(image_call.with_image, image)
        return await self._send(call, timeout)

    def _call_many(
        self,
        image_call: _calls.ImageCall[Result],
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        window: int,
        progress: Callable[[int], object] | None,
        timeout: float | None,
    ) -> AsyncIterator[Result | Failure]:
        from spyglass_client._streams.async_stream import run_async

        route = self._dispatch.route()
        pipeline = self._dispatch.pipeline(image_call, window, progress, timeout, route)
        span = StreamSpan(image_call.method)
        start = span.starting(partial(route.stream, image_call.method))
        results = run_async(pipeline, _requests(image_call, images), start)
        return span.over_async(results)

    async def close(self) -> None:
        """Close the transport; calls in progress are cancelled. May be called again."""
        await asyncio.to_thread(self._dispatch.transport.close)

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
    image_call: _calls.ImageCall[Result], images: Iterable[ImageLike] | AsyncIterable[ImageLike]
) -> AsyncIterator[_calls.Request | SpyglassError]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield await asyncio.to_thread(image_call.request_or_error, image)
    else:
        for image in images:
            yield await asyncio.to_thread(image_call.request_or_error, image)
