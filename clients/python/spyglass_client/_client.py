"""The blocking client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from spyglass_client import _calls
from spyglass_client._admin.admin import Admin
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
from spyglass_client._sending import send
from spyglass_client._tracing import StreamSpan
from spyglass_client._transports.opening import DEFAULT_TARGET, transport_for
from spyglass_client._transports.transport import Transport

if TYPE_CHECKING:
    import grpc

Result = TypeVar("Result")

DEFAULT_WINDOW = 16


class Client:
    """Calls a Spyglass server, or models in this process. Every error is a `SpyglassError`.

    A client is safe to use from many threads. Keep it: all calls share its connection, which reconnects after
    a restart of the server. A process forked from this one opens a connection of its own.
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
        """Connect to `target` at the first call.

        `target` is HOST, HOST:PORT, [IPV6]:PORT, http://HOST:PORT, https://HOST:PORT (with TLS) or
        unix:/PATH, or several of these, separated by commas or in a list; or dns:///HOST:PORT for all servers
        whose IP addresses the name has. The port defaults to 50051, with https:// to 443. `balance` says how
        the client spreads its calls over several servers. Raises InvalidInput for a malformed address.

        `hedging` sends a late request of one image to another server as well; None: never.

        The calls of a `bulk` client let those of others go first: for work that nobody waits for. They still
        get a part of the server's time.

        `open_channel` replaces the client's own gRPC channel, for example by one with interceptors; it is
        called once in each process, and `target` and `timeout.connect` have no effect. `transport` replaces
        gRPC: `spyglass_server.local_client` uses it, and a test may pass any object with these methods. The
        client closes it. Raises ValueError if one of both is combined with an option of the connection, and
        for `hedging` over a transport that only blocks.
        """
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

    def classify(
        self,
        image: ImageLike,
        *,
        model: str = "",
        top_k: int | None = None,
        id: str = "",
        timeout: float | None = None,
    ) -> Classification:
        """Return the most probable classes of one image.

        `image` is a path, a whole file, a Pillow image, or uint8 [height, width, 1, 3 or 4]. `model` is
        NAME, NAME:VERSION or NAME@LABEL, empty: the server's default model. `top_k` is the number of classes,
        None: the server's default. `id` is returned in the result. `timeout` is in seconds, None: the
        client's.
        """
        image_call = _calls.classification(model=model, top_k=top_k, request_id=id)
        return self._send(image_call.with_image(image), timeout)

    def classify_many(
        self,
        images: Iterable[ImageLike],
        *,
        model: str = "",
        top_k: int | None = None,
        window: int = DEFAULT_WINDOW,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Classification | Failure]:
        """Yield the results of any number of images, in their order, over one streaming call.

        The client takes images one by one; at most `window` are in progress. If one image fails, its result
        is a `Failure` with the `error`, and the others go on; an error that makes all of them fail is raised.
        `progress` is called with the number of results, each time it grows. `timeout` is for each image, in
        seconds; None: the client's.
        """
        image_call = _calls.classification(model=model, top_k=top_k)
        return self._call_many(image_call, images, window, progress, timeout)

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
        """Return the most probable classes, and the part of the image in which the model saw a class.

        `target` is the class to explain, by index or name, None: the predicted one. `further` are more
        classes for the same forward pass. Raises FailedPrecondition for a model without a heatmap.
        """
        image_call = _calls.explanation(
            model=model, target=target, further=further, top_k=top_k, request_id=id
        )
        return self._send(image_call.with_image(image), timeout)

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
        """Do what `classify_many` does, with a heatmap for each image; it holds the image to draw on."""
        image_call = _calls.explanation(model=model, target=target, further=further, top_k=top_k)
        return self._call_many(image_call, images, window, progress, timeout)

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
        """Return the class of each pixel of one image.

        The mask has the upright image's size, or with `size` "model" the size of the network's output.
        The server applies `refine` in its order. `soft` is a class, by index or name, for a probability map.
        Raises FailedPrecondition for a model that only classifies.
        """
        image_call = _calls.segmentation(model=model, size=size, refine=refine, soft=soft, request_id=id)
        return self._send(image_call.with_image(image), timeout)

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
        """Yield the masks of any number of images, in their order, over one streaming call.

        The arguments are those of `segment` and `classify_many`.
        """
        image_call = _calls.segmentation(model=model, size=size, refine=refine, soft=soft)
        return self._call_many(image_call, images, window, progress, timeout)

    def models(self) -> tuple[ServedModel, ...]:
        """Return the models of the server, by name and version."""
        return self._send(_calls.models_call())

    def versions(self) -> ModelVersions:
        """Return the state of every version that the server knows, with labels and traffic shares."""
        return self._send(_calls.versions_call())

    def model(self, name: str = "", *, task: Task | None = None, with_golden: bool = False) -> ModelDetails:
        """Return one model's card, and how the server runs it.

        `name` is NAME, NAME:VERSION or NAME@LABEL, empty: the server's default model of `task`, or its only
        default model if `task` is None. A named model must have `task`, "classify" or "segment", if it is not
        None. `with_golden` adds the certificate's images and probabilities, some hundred kilobytes.
        """
        return self._send(_calls.model_call(name, task, with_golden=with_golden))

    @property
    def admin(self) -> Admin:
        """The changes of the server's models, for a server that allows them."""
        return Admin(self._send)

    def _send(self, call: _calls.Call[Result], timeout: float | None = None) -> Result:
        dispatch = self._dispatch
        attempts = dispatch.attempts(call, timeout)
        return send(call, dispatch.route(), attempts, dispatch.hedging(call))

    def _call_many(
        self,
        image_call: _calls.ImageCall[Result],
        images: Iterable[ImageLike],
        window: int,
        progress: Callable[[int], object] | None,
        timeout: float | None,
    ) -> Iterator[Result | Failure]:
        from spyglass_client._streams.stream import run

        route = self._dispatch.route()
        pipeline = self._dispatch.pipeline(image_call, window, progress, timeout, route)
        requests = (image_call.request_or_error(image) for image in images)
        span = StreamSpan(image_call.method)
        start = span.starting(partial(route.stream, image_call.method))
        results = run(pipeline, requests, start)
        return span.over(results)

    def close(self) -> None:
        """Close the transport; calls in progress are cancelled. May be called again."""
        self._dispatch.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
