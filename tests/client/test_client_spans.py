"""Spans of the client, and the trace that it hands to the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass.v1.reply_pb2 import ClassScore
from spyglass_client import AsyncClient, Client, Hedging, Retry
from spyglass_contract.errors import InvalidInput, Overloaded, SpyglassError

IMAGE = b"not an image, which the server of the tests does not mind"
METHOD = "spyglass.v1.Vision/Classify"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The ended spans of an application that traces itself."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # An application calls `trace.set_tracer_provider`, which allows one call in a process.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


@pytest.fixture
def start_server(
    fake_vision: Callable[..., Any], serve: Callable[[Any], str]
) -> Callable[..., tuple[Any, str]]:
    """Return a servicer and its address: `start_server(respond)`."""

    def start(*respond: Callable[[Any], Any]) -> tuple[Any, str]:
        servicer = fake_vision(*respond)
        return servicer, serve(servicer)

    return start


def traceparent(span: Any) -> str:
    own = span.context
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


def test_a_call_has_a_span_inside_of_the_callers_and_carries_it(
    spans: InMemorySpanExporter, start_server: Callable[..., Any]
) -> None:
    server, address = start_server()
    with Client(address) as client, trace.get_tracer("application").start_as_current_span("outer") as outer:
        client.classify(IMAGE)

    call, _ = spans.get_finished_spans()
    assert (call.name, call.kind, call.parent.span_id) == (
        METHOD,
        trace.SpanKind.CLIENT,
        outer.context.span_id,
    )
    assert server.metadata["traceparent"] == traceparent(call)
    assert dict(call.attributes) == {
        "rpc.method": METHOD,
        "rpc.system.name": "grpc",
        "rpc.response.status_code": "OK",
    }


def test_baggage_and_state_go_along(spans: InMemorySpanExporter, start_server: Callable[..., Any]) -> None:
    from opentelemetry import baggage, context

    server, address = start_server()
    token = context.attach(baggage.set_baggage("team", "vision"))
    with Client(address) as client:
        client.classify(IMAGE)
    context.detach(token)
    assert server.metadata["baggage"] == "team=vision"


def test_a_retry_is_an_event_of_the_same_span(
    spans: InMemorySpanExporter, start_server: Callable[..., Any]
) -> None:
    errors = [Overloaded("full", retry_after=0.05)]

    def respond(request: Any) -> Any:
        if errors:
            raise errors.pop()
        return ClassifyResponse(id=request.id, classes=[ClassScore(index=1, name="cat", score=0.75)])

    _, address = start_server(respond)
    with Client(address, retry=Retry(initial_backoff=0.001)) as client:
        client.classify(IMAGE)

    (call,) = spans.get_finished_spans()
    (event,) = call.events
    assert (event.name, event.attributes["error.type"]) == ("retry", "RESOURCE_EXHAUSTED")
    assert call.attributes["rpc.response.status_code"] == "OK"


def test_a_span_names_the_server_that_responded_if_there_are_several(
    spans: InMemorySpanExporter,
    start_server: Callable[..., Any],
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    servers = dict(reversed(start_server()) for _ in range(2))
    with Client(sorted(servers)) as client:

        def both_have_responded() -> bool:
            client.classify(IMAGE)
            return all(server.requests for server in servers.values())

        eventually(both_have_responded)
    assert {call.attributes["spyglass.server"] for call in spans.get_finished_spans()} == set(servers)


@pytest.mark.parametrize("make", [Client, AsyncClient])
async def test_a_span_says_which_of_several_attempts_won(
    spans: InMemorySpanExporter, start_server: Callable[..., Any], make: Any
) -> None:
    released = Event()

    def wait_in_the_first(request: Any) -> Any:
        if len(server.requests) == 1:
            released.wait(20)
        return ClassifyResponse(id=request.id, classes=[ClassScore(index=1, name="cat", score=0.75)])

    server, address = start_server(wait_in_the_first)
    client = make(address, hedging=Hedging(0.02))
    result = client.classify(IMAGE)
    if make is AsyncClient:
        await result
        await client.close()
    else:
        client.close()
    released.set()

    (call,) = spans.get_finished_spans()
    (event,) = call.events
    assert (event.name, event.attributes["spyglass.hedge.attempt"]) == ("hedge", 1)
    assert call.attributes["spyglass.hedge.attempt"] == 1
    assert server.metadata["traceparent"] == traceparent(call)


def test_an_error_ends_the_span_with_its_code(
    spans: InMemorySpanExporter, start_server: Callable[..., Any]
) -> None:
    def respond(request: Any) -> Any:
        raise InvalidInput("no")

    _, address = start_server(respond)
    with Client(address) as client, pytest.raises(SpyglassError):
        client.classify(IMAGE)

    (call,) = spans.get_finished_spans()
    assert call.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert call.status.status_code is trace.StatusCode.ERROR


def test_a_call_of_admin_has_the_name_of_its_service(
    spans: InMemorySpanExporter, start_server: Callable[..., Any]
) -> None:
    _, address = start_server()
    with Client(address) as client, pytest.raises(SpyglassError):
        client.admin.reload()

    (call,) = spans.get_finished_spans()
    assert call.name == "spyglass.v1.Admin/Reload"


def test_a_stream_has_one_span(spans: InMemorySpanExporter, start_server: Callable[..., Any]) -> None:
    server, address = start_server()
    with Client(address) as client:
        assert len(list(client.classify_many([IMAGE] * 3))) == 3

    (call,) = spans.get_finished_spans()
    assert (call.name, call.attributes["rpc.response.status_code"]) == (f"{METHOD}Stream", "OK")
    assert server.metadata["traceparent"] == traceparent(call)


async def test_the_asyncio_client_does_the_same(
    spans: InMemorySpanExporter, start_server: Callable[..., Any]
) -> None:
    server, address = start_server()
    async with AsyncClient(address) as client:
        with trace.get_tracer("application").start_as_current_span("outer") as outer:
            await client.classify(IMAGE)
            carried = server.metadata["traceparent"]
            assert [result async for result in client.classify_many([IMAGE])]

    call, stream, _ = spans.get_finished_spans()
    assert {call.parent.span_id, stream.parent.span_id} == {outer.context.span_id}
    assert carried == traceparent(call)
    assert server.metadata["traceparent"] == traceparent(stream)


def test_without_a_tracer_provider_no_header_is_sent(start_server: Callable[..., Any]) -> None:
    server, address = start_server()
    with Client(address) as client:
        client.classify(IMAGE)
    assert "traceparent" not in server.metadata


@pytest.mark.slow
def test_a_client_imports_no_tracing_by_itself() -> None:
    program = (
        "import sys, spyglass_client\n"
        "from spyglass_client import Client, Retry\n"
        "try: Client('localhost:1', retry=Retry(attempts=1)).models()\n"
        "except Exception: pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
