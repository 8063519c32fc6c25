"""Spans of calls, if the application that uses the client traces itself with OpenTelemetry.

The client needs the API of OpenTelemetry only, and never imports it first: without a tracer provider of the
application there is nobody to give spans to.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from spyglass_contract.errors import SpyglassError
from spyglass_contract.status_codes import status_code

Result = TypeVar("Result")
Started = TypeVar("Started")

Metadata = tuple[tuple[str, str], ...]

_PACKAGE = "spyglass.v1"


def _api() -> Any:
    """Return the module `opentelemetry.trace` if the application has set a tracer provider, or None."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return trace


def with_trace(metadata: Metadata) -> Metadata:
    """Return `metadata` of a gRPC call with the headers of the current trace, if there is one."""
    if (trace := _api()) is None:
        return metadata
    from opentelemetry import propagate

    trace.get_current_span().set_attribute("rpc.system.name", "grpc")
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return (*metadata, *((key.lower(), value) for key, value in headers.items()))


class CallSpan:
    """The span of one call with all its attempts; without tracing, every method does nothing."""

    def __init__(self, method: str, service: str = "Vision") -> None:
        """Start the span of a call of `method`, such as Classify, inside of the current span."""
        self._trace = _api()
        if self._trace:
            name = f"{_PACKAGE}.{service}/{method}"
            self._span = self._trace.get_tracer("spyglass_client").start_span(
                name, kind=self._trace.SpanKind.CLIENT, attributes={"rpc.method": name}
            )

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the current span inside the block: calls that start there carry it."""
        if not self._trace:
            yield
            return
        with self._trace.use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield

    def retry(self, error: SpyglassError, pause: float) -> None:
        """Note that an attempt failed, and that the next one starts after `pause` seconds."""
        if self._trace:
            attributes = {
                "error.type": status_code(error),
                "spyglass.error.reason": error.reason,
                "spyglass.retry.pause": pause,
            }
            self._span.add_event("retry", attributes)

    def hedge(self, attempt: int, server: str) -> None:
        """Note that one more attempt started while others run; `attempt` counts from 0, the first one."""
        if self._trace:
            self._span.add_event("hedge", _attempt(attempt, server))

    def won(self, attempt: int, server: str) -> None:
        """Note the attempt of several at the same time whose response the caller gets."""
        if self._trace:
            self._span.set_attributes(_attempt(attempt, server))

    def answered_by(self, server: str) -> None:
        """Note the address of the server that responded, if the client chose it among several."""
        if self._trace and server:
            self._span.set_attribute("spyglass.server", server)

    def end(self, error: BaseException | None = None) -> None:
        """End the span, with the error that the caller gets."""
        if not self._trace:
            return
        code = "OK"
        if isinstance(error, SpyglassError):
            code = status_code(error)
            self._span.set_attribute("spyglass.error.reason", error.reason)
        elif error is not None:
            # The task was cancelled, or the caller wants no further results of a stream.
            code = "CANCELLED"
        self._span.set_attribute("rpc.response.status_code", code)
        if code != "OK":
            self._span.set_attribute("error.type", code)
            self._span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        self._span.end()


def _attempt(number: int, server: str) -> dict[str, int | str]:
    attributes: dict[str, int | str] = {"spyglass.hedge.attempt": number}
    return {**attributes, "spyglass.server": server} if server else attributes


@contextmanager
def call_span(method: str, service: str) -> Iterator[CallSpan]:
    """Return the span of the call that the block makes; the block's error is that of the call."""
    span = CallSpan(method, service)
    with span.current():
        try:
            yield span
        except BaseException as error:
            span.end(error)
            raise
        span.end()


class StreamSpan:
    """The span of many requests over one call, or over several if a call breaks."""

    def __init__(self, method: str) -> None:
        self._method = f"{method}Stream"
        self._span: CallSpan | None = None

    def starting(self, start: Callable[..., Started]) -> Callable[..., Started]:
        """Return `start`, which starts a call, such that the call carries the span."""

        def carrying(*arguments: Any) -> Started:
            if self._span is None:
                return start(*arguments)
            with self._span.current():
                return start(*arguments)

        return carrying

    def over(self, results: Iterator[Result]) -> Iterator[Result]:
        """Yield `results`; the span lasts from the first to the last."""
        self._span = CallSpan(self._method)
        try:
            yield from results
        except BaseException as error:
            self._span.end(error)
            raise
        self._span.end()

    async def over_async(self, results: AsyncIterator[Result]) -> AsyncIterator[Result]:
        """Do what `over` does."""
        self._span = CallSpan(self._method)
        try:
            async with aclosing(results) as open_results:  # type: ignore[type-var]
                async for result in open_results:
                    yield result
        except BaseException as error:
            self._span.end(error)
            raise
        self._span.end()
