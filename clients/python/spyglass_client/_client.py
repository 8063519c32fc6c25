"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from spyglass_client import _calls
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

if TYPE_CHECKING:
    import grpc

Result = TypeVar("Result")

DEFAULT_TARGET = "localhost:50051"
DEFAULT_WINDOW = 16


class Client:
    """Asks a Spyglass server. What goes wrong with a call is raised as one of `SpyglassError`'s tree.

    A client is safe to use from many threads and is best kept: its connection is shared, and finds the
    server again after a restart. A process forked from this one gets a connection of its own.
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
        """Connects to `target`, HOST:PORT, at the first call.

        `open_channel` is asked for a channel in place of the client's own, once in each process: a test or
        a gRPC interceptor goes in here; `target` and `timeout.connect` then say nothing.
        """
        # gRPC takes a while to import, and whoever only handles results needs none of it.
        from spyglass_client import _channels, _transport

        self._timeout = timeout
        self._retry = retry
        self._transport = _transport.Transport(
            open_channel or (lambda: _channels.open_channel(target, timeout, credentials)),
            retry,
            credentials.metadata,
        )

    def classify(
        self,
        image: ImageLike,
        *,
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Classification:
        """The most probable classes of one image.

        `image` is a path, a whole file, a Pillow image, or uint8 [height, width, 1, 3 or 4]. `model` is
        NAME, NAME:VERSION or NAME@LABEL, empty: the server's default. `top_k` is how many classes to name,
        None: five, or all where there are fewer. `id` comes back in the answer. `timeout` is in seconds,
        None: the client's.
        """
        question = _calls.classification(model=model, top_k=top_k, request_id=id)
        return self._transport.ask(question.about(image), self._timeout.override(timeout))

    def classify_many(
        self,
        images: Iterable[ImageLike],
        *,
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Answer]:
        """The answers to any number of images, in their order, over one streaming call.

        Images are taken one by one as they are needed; at most `window` are held at a time. One that fails
        gives a `Failure` in its place, whose `error` says why, and the others are answered; what makes all
        of them fail is raised. `progress` is told how many are answered, each time that one is. `timeout` is
        for each image, in seconds; None: the client's.
        """
        question = _calls.classification(model=model, top_k=top_k)
        return self._ask_many(question, images, window, progress, timeout)

    def heatmap(
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
        """Where in the image the network saw a class, and what `classify` answers.

        `target` is the class to explain, by index or name, None: the predicted one; `further` are classes
        that the same forward pass explains, too. Raises FailedPrecondition for a model without a heatmap.
        """
        question = _calls.explanation(model=model, target=target, further=further, top_k=top_k, request_id=id)
        return self._transport.ask(question.about(image), self._timeout.override(timeout))

    def heatmap_many(
        self,
        images: Iterable[ImageLike],
        *,
        target: Target | None = None,
        further: Sequence[Target] = (),
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Heatmap | Failure]:
        """As `classify_many`, with a heatmap of each image. A heatmap holds its image, to draw over."""
        question = _calls.explanation(model=model, target=target, further=further, top_k=top_k)
        return self._ask_many(question, images, window, progress, timeout)

    def segment(
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
        """Which class each pixel of one image belongs to.

        The mask is of the upright image's size, or with `size` "model" of that of the network's output.
        `refine` says what is known of classes beforehand, and is applied in its order. `soft` is a class, by
        index or name, whose probabilities are wanted, too. Raises FailedPrecondition for a model that only
        classifies.
        """
        question = _calls.segmentation(model=model, size=size, refine=refine, soft=soft, request_id=id)
        return self._transport.ask(question.about(image), self._timeout.override(timeout))

    def segment_many(
        self,
        images: Iterable[ImageLike],
        *,
        model: str = "",
        size: MaskSize = "image",
        refine: Sequence[Refinement] = (),
        soft: Target | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Segmentation | Failure]:
        """The masks of any number of images, in their order, over one streaming call.

        Arguments as in `segment` and `classify_many`.
        """
        question = _calls.segmentation(model=model, size=size, refine=refine, soft=soft)
        return self._ask_many(question, images, window, progress, timeout)

    def models(self) -> tuple[ServedModel, ...]:
        """The models that the server serves, by name and version."""
        return self._transport.ask(_calls.models_call(), self._timeout.call)

    def model(self, name: str, *, with_golden: bool = False) -> ModelDetails:
        """One model's card and how it is run; `name` is NAME, NAME:VERSION or NAME@LABEL.

        `with_golden` brings along the certificate's images and answers, some hundred kilobytes.
        """
        return self._transport.ask(_calls.model_call(name, with_golden=with_golden), self._timeout.call)

    def _ask_many(
        self,
        question: _calls.Question[Result],
        images: Iterable[ImageLike],
        window: int,
        progress: Callable[[int], object] | None,
        timeout: float | None,
    ) -> Iterator[Result | Failure]:
        from spyglass_client._stream import run

        pipeline = Pipeline(
            read=question.read,
            window=window,
            retry=self._retry,
            seconds=self._timeout.override(timeout),
            progress=progress,
        )
        requests = (question.request_or_error(image) for image in images)
        return run(pipeline, requests, partial(self._transport.stream, question.method))

    def close(self) -> None:
        """Closes the connection; calls under way are cancelled. May be called again."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
