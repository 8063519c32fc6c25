"""The asyncio client: `Client` with `await`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from spyglass_client import _calls
from spyglass_client._client import DEFAULT_TARGET, DEFAULT_WINDOW, Result
from spyglass_client._heatmaps import Heatmap
from spyglass_client._images import ImageLike
from spyglass_client._models import ModelDetails, ServedModel
from spyglass_client._options import (
    ANONYMOUS,
    DEFAULT_RETRY,
    DEFAULT_TIMEOUT,
    Credentials,
    Retry,
    Timeout,
)
from spyglass_client._pipeline import Pipeline
from spyglass_client._results import Answer, Classification, Failure, Target
from spyglass_client._segmentations import MaskSize, Refinement, Segmentation
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
        image: ImageLike,
        *,
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Classification:
        """As `Client.classify`; a file is read in a thread."""
        question = _calls.classification(model=model, top_k=top_k, request_id=id)
        return await self._ask(question, image, timeout)

    def classify_many(
        self,
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        *,
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[Answer]:
        """As `Client.classify_many`; `images` may be asynchronous, too."""
        question = _calls.classification(model=model, top_k=top_k)
        return self._ask_many(question, images, window, progress, timeout)

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
        """As `Client.heatmap`; a file is read in a thread."""
        question = _calls.explanation(model=model, target=target, further=further, top_k=top_k, request_id=id)
        return await self._ask(question, image, timeout)

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
        """As `Client.heatmap_many`; `images` may be asynchronous, too."""
        question = _calls.explanation(model=model, target=target, further=further, top_k=top_k)
        return self._ask_many(question, images, window, progress, timeout)

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
        """As `Client.segment`; a file is read in a thread."""
        question = _calls.segmentation(model=model, size=size, refine=refine, soft=soft, request_id=id)
        return await self._ask(question, image, timeout)

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
        """As `Client.segment_many`; `images` may be asynchronous, too."""
        question = _calls.segmentation(model=model, size=size, refine=refine, soft=soft)
        return self._ask_many(question, images, window, progress, timeout)

    async def models(self) -> tuple[ServedModel, ...]:
        """As `Client.models`."""
        return await self._transport.ask_async(_calls.models_call(), self._timeout.call)

    async def model(self, name: str, *, with_golden: bool = False) -> ModelDetails:
        """As `Client.model`."""
        call = _calls.model_call(name, with_golden=with_golden)
        return await self._transport.ask_async(call, self._timeout.call)

    async def _ask(
        self, question: _calls.Question[Result], image: ImageLike, timeout: float | None
    ) -> Result:
        call = await asyncio.to_thread(question.about, image)
        return await self._transport.ask_async(call, self._timeout.override(timeout))

    def _ask_many(
        self,
        question: _calls.Question[Result],
        images: Iterable[ImageLike] | AsyncIterable[ImageLike],
        window: int,
        progress: Callable[[int], object] | None,
        timeout: float | None,
    ) -> AsyncIterator[Result | Failure]:
        from spyglass_client._async_stream import run_async

        pipeline = Pipeline(
            read=question.read,
            window=window,
            retry=self._retry,
            seconds=self._timeout.override(timeout),
            progress=progress,
        )
        start = partial(self._transport.stream, question.method)
        return run_async(pipeline, _requests(question, images), start)

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
    question: _calls.Question[Result], images: Iterable[ImageLike] | AsyncIterable[ImageLike]
) -> AsyncIterator[_calls.Request | SpyglassError]:
    if isinstance(images, AsyncIterable):
        async for image in images:
            yield await asyncio.to_thread(question.request_or_error, image)
    else:
        for image in images:
            yield await asyncio.to_thread(question.request_or_error, image)
