"""The spans of requests, as a collector receives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ListModelsRequest
from spyglass_server.engine.models.model import Model, Resources

CLASSIFY = "spyglass.v1.Vision/Classify"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"

Start = Callable[..., Any]
Wait = Callable[..., list[Any]]


@pytest.fixture
def traced(run_server: Start, otlp_receiver: Any) -> Any:
    """A server that traces every request."""
    return run_server(tracing_endpoint=otlp_receiver.address, tracing_sample=1.0)


@pytest.fixture
def request_message(red_png: bytes) -> ClassifyRequest:
    return ClassifyRequest(image=Image(encoded=red_png))


@pytest.fixture
def red_png() -> bytes:
    from io import BytesIO

    from PIL import Image as Pillow

    file = BytesIO()
    Pillow.new("RGB", (20, 12), (255, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_a_request_has_a_span_with_its_stages_inside(
    traced: Any, otlp_receiver: Any, received_spans: Wait, request_message: ClassifyRequest
) -> None:
    traced.vision.Classify(request_message, metadata=[("x-request-id", "order-7")])

    (span,) = received_spans(CLASSIFY)
    stages = otlp_receiver.children_of(span)
    times = [
        span.started,
        *(t for stage in stages.values() for t in (stage.started, stage.ended)),
        span.ended,
    ]
    assert list(stages) == ["queue", "decode", "inference", "encode"]
    assert times == sorted(times)
    assert {stage.trace_id for stage in stages.values()} == {span.trace_id}
    assert (span.kind, span.parent_id, span.is_error, span.service) == ("SERVER", "", False, "spyglass")
    expected = {
        "rpc.system.name": "grpc",
        "rpc.method": CLASSIFY,
        "rpc.response.status_code": "OK",
        "spyglass.request.id": "order-7",
        "spyglass.request.size": request_message.ByteSize(),
        "spyglass.image.format": "PNG",
        "spyglass.model.name": "colors",
        "spyglass.model.version": 1,
        "spyglass.provider": "CPUExecutionProvider",
        "spyglass.precision": "fp32",
        "spyglass.batch.size": 1,
    }
    assert {key: span.attributes.get(key) for key in expected} == expected
    assert span.attributes["network.peer.address"] in ("::1", "127.0.0.1")
    assert span.attributes["network.peer.port"] > 0


def test_a_request_that_the_cache_answered_says_so_and_has_no_stages(
    run_server: Start, otlp_receiver: Any, received_spans: Wait, request_message: ClassifyRequest
) -> None:
    vision = run_server(
        tracing_endpoint=otlp_receiver.address, tracing_sample=1.0, response_cache_bytes=1024 * 1024
    ).vision
    for name in ("computed", "kept"):
        vision.Classify(request_message, metadata=[("x-request-id", name)])

    spans = {span.attributes["spyglass.request.id"]: span for span in received_spans(CLASSIFY, 2)}
    assert "spyglass.cached" not in spans["computed"].attributes
    assert spans["kept"].attributes["spyglass.cached"] is True
    assert not otlp_receiver.children_of(spans["kept"])


def test_a_request_continues_the_trace_of_its_caller(
    traced: Any, received_spans: Wait, request_message: ClassifyRequest
) -> None:
    metadata = [("traceparent", SAMPLED), ("tracestate", "vendor=value")]
    traced.vision.Classify(request_message, metadata=metadata)

    (span,) = received_spans(CLASSIFY)
    assert (span.trace_id, span.parent_id, span.trace_state) == (TRACE, CALLER, "vendor=value")


def test_a_failed_request_has_its_code_and_the_stage_that_failed(
    traced: Any, otlp_receiver: Any, received_spans: Wait
) -> None:
    with pytest.raises(grpc.RpcError):
        traced.vision.Classify(ClassifyRequest(image=Image(encoded=b"no image")))

    (span,) = received_spans(CLASSIFY)
    stages = otlp_receiver.children_of(span)
    assert span.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert span.attributes["error.type"] == "INVALID_ARGUMENT"
    # It is the caller's fault.
    assert not span.is_error
    assert {name: stage.is_error for name, stage in stages.items()} == {"queue": False, "decode": True}


def test_a_stream_has_a_span_with_one_for_each_message(
    traced: Any, otlp_receiver: Any, received_spans: Wait, request_message: ClassifyRequest
) -> None:
    metadata = [("traceparent", SAMPLED)]
    responses = traced.vision.ClassifyStream(iter([request_message] * 3), metadata=metadata)
    assert len(list(responses)) == 3

    (stream,) = received_spans(f"{CLASSIFY}Stream")
    messages = received_spans(f"{CLASSIFY}Stream message", 3)
    assert (stream.parent_id, stream.attributes["spyglass.stream.messages"]) == (CALLER, 3)
    assert {message.parent_id for message in messages} == {stream.span_id}
    assert {message.trace_id for message in messages} == {TRACE}
    for message in messages:
        assert stream.started <= message.started <= message.ended <= stream.ended
        assert set(otlp_receiver.children_of(message)) == {"queue", "decode", "inference", "encode"}


def test_the_caller_decides_about_its_trace_and_the_setting_about_others(
    run_server: Start, otlp_receiver: Any, received_spans: Wait, request_message: ClassifyRequest
) -> None:
    server = run_server(tracing_endpoint=otlp_receiver.address, tracing_sample=0.0)
    for parent in (None, UNSAMPLED, SAMPLED.replace(TRACE, "0" * 32), SAMPLED):
        server.vision.Classify(request_message, metadata=[("traceparent", parent)] if parent else [])

    received_spans(CLASSIFY)
    server.server.stop(grace=0)
    assert [span.parent_id for span in otlp_receiver.named(CLASSIFY)] == [CALLER]


def test_calls_without_an_image_are_traced_and_health_checks_are_not(
    traced: Any, otlp_receiver: Any, received_spans: Wait
) -> None:
    from grpc_health.v1.health_pb2 import HealthCheckRequest

    traced.health.Check(HealthCheckRequest(), metadata=[("traceparent", SAMPLED)])
    traced.vision.ListModels(ListModelsRequest())

    (span,) = received_spans("spyglass.v1.Vision/ListModels")
    traced.server.stop(grace=0)
    assert [other.name for other in otlp_receiver.spans] == [span.name]
    assert span.attributes["rpc.response.status_code"] == "OK"


@pytest.mark.slow
def test_the_end_of_the_server_sends_what_is_left(
    run_server: Start,
    otlp_receiver: Any,
    request_message: ClassifyRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    server = run_server(tracing_endpoint=otlp_receiver.address, tracing_sample=1.0)
    server.vision.Classify(request_message)
    assert not otlp_receiver.spans

    server.server.stop(grace=1)
    assert otlp_receiver.named(CLASSIFY)


def test_images_of_one_batch_have_spans_of_their_own(
    run_server: Start,
    network: Any,
    otlp_receiver: Any,
    received_spans: Wait,
    request_message: ClassifyRequest,
    eventually: Start,
) -> None:
    resources = Resources(workers=1, max_batch=8)
    server = run_server(
        lambda path: Model(network, "ab" * 32, resources),
        tracing_endpoint=otlp_receiver.address,
        tracing_sample=1.0,
    )
    network.close_gate()
    calls = [server.vision.Classify.future(request_message)]
    # It runs alone, and the others come meanwhile.
    assert network.entered.acquire(timeout=30)
    calls += [server.vision.Classify.future(request_message) for _ in range(3)]
    eventually(lambda: server.server._engine.workers.inside == 4)
    network.gate.set()
    for call in calls:
        call.result(30)

    spans = received_spans(CLASSIFY, 4)
    assert sorted(span.attributes["spyglass.batch.size"] for span in spans) == [1, 3, 3, 3]
    for span in spans:
        stages = otlp_receiver.children_of(span).values()
        assert len(stages) == 4
        assert all(span.started <= stage.started <= stage.ended <= span.ended for stage in stages)


def test_a_client_and_its_server_are_one_trace(
    traced: Any, received_spans: Wait, red_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from spyglass_client import Client

    provider = TracerProvider(shutdown_on_exit=False)
    # An application calls `trace.set_tracer_provider`, which allows one call in a process.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    outer = trace.get_tracer("application").start_as_current_span("outer")
    with Client(f"localhost:{traced.server.port}") as client, outer as span:
        client.classify(red_png)

    (received,) = received_spans(CLASSIFY)
    assert received.trace_id == f"{span.get_span_context().trace_id:032x}"
    # The client's own span is in between.
    assert received.parent_id not in ("", f"{span.get_span_context().span_id:016x}")


@pytest.mark.slow
def test_the_log_of_a_server_process_has_the_ids_of_the_trace(
    spawn_server: Start,
    tiny_models: Path,
    otlp_receiver: Any,
    received_spans: Wait,
    request_message: ClassifyRequest,
) -> None:
    from spyglass.v1.vision_pb2_grpc import VisionStub

    flags = ("--tracing-endpoint", otlp_receiver.address, "--tracing-sample", "0", "--log-format", "json")
    server = spawn_server("--models", tiny_models, *flags)
    server.wait_until_serving()
    with grpc.insecure_channel(server.address) as channel:
        for parent in (SAMPLED, UNSAMPLED):
            VisionStub(channel).Classify(request_message, metadata=[("traceparent", parent)])
    (span,) = received_spans(CLASSIFY)
    server.process.terminate()
    assert server.wait_until_ended() == 0

    lines = [json.loads(line) for line in server.log]
    traced, unsampled = (line for line in lines if line["message"].endswith("/Classify"))
    assert (traced["trace_id"], traced["span_id"]) == (TRACE, span.span_id)
    assert unsampled["trace_id"] == TRACE
    assert "span_id" not in unsampled
