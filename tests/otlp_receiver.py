"""A collector in this process: it receives traces over OTLP with gRPC, and shows them to the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest


@dataclass(frozen=True)
class ReceivedSpan:
    """One span; its times are in nanoseconds since 1970."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    started: int
    ended: int
    is_error: bool
    trace_state: str
    attributes: dict[str, Any]
    service: str
    events: tuple[str, ...] = ()


@dataclass
class Receiver:
    """What came so far."""

    address: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    def children_of(self, parent: ReceivedSpan) -> dict[str, ReceivedSpan]:
        return {span.name: span for span in self.spans if span.parent_id == parent.span_id}

    def take(self, request: Any) -> None:
        for of_resource in request.resource_spans:
            service = _values(of_resource.resource.attributes)["service.name"]
            for of_scope in of_resource.scope_spans:
                self.spans += [_received(span, service) for span in of_scope.spans]


def _received(span: Any, service: str) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        kind=type(span).SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        started=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        is_error=span.status.code == 2,
        trace_state=span.trace_state,
        attributes=_values(span.attributes),
        service=service,
        events=tuple(event.name for event in span.events),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}


@pytest.fixture
def otlp_receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A collector at `address`; senders of this process and of its children send soon."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    received = Receiver()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
            received.take(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    received.address = f"http://localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield received
    server.stop(0).wait(10)


@pytest.fixture
def received_spans(
    otlp_receiver: Receiver, eventually: Callable[[Callable[[], bool]], None]
) -> Callable[..., list[ReceivedSpan]]:
    """Wait for spans of a name: `received_spans(name, count=1)`. A child comes before its parent."""

    def wait(name: str, count: int = 1) -> list[ReceivedSpan]:
        eventually(lambda: len(otlp_receiver.named(name)) >= count)
        return otlp_receiver.named(name)

    return wait
