"""Health and reflection of a real server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.model import Model
from spyglass_server.server import ListenError, Server
from spyglass_server.settings import ServerSettings

PATIENCE = 30
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "spyglass.v1.Vision", "colors"])
def test_the_server_and_each_model_are_healthy(server: Any, service: str) -> None:
    assert server.health.Check(HealthCheckRequest(service=service)).status == SERVING


def test_the_health_of_an_unknown_model_is_not_found(server: Any) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        server.health.Check(HealthCheckRequest(service="other"))

    assert raised.value.code() is grpc.StatusCode.NOT_FOUND
    watch = server.health.Watch(HealthCheckRequest(service="other"))
    assert next(watch).status == HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_many_watchers_hold_no_thread_that_a_request_needs(
    run_server: Callable[..., Any], color_image: Callable[..., bytes]
) -> None:
    server = run_server(max_in_flight=1, max_streams=1)

    watches = [server.health.Watch(HealthCheckRequest()) for _ in range(100)]

    assert {next(watch).status for watch in watches} == {SERVING}
    request = ClassifyRequest(image=Image(encoded=color_image("red")))
    assert server.vision.Classify(request, timeout=PATIENCE).classes
    for watch in watches:
        watch.cancel()


def test_watchers_that_come_and_go_do_not_disturb_requests(server: Any) -> None:
    def come_and_go(_: int) -> None:
        with grpc.insecure_channel(f"localhost:{server.server.port}") as channel:
            for _ in range(50):
                watch = HealthStub(channel).Watch(HealthCheckRequest(), timeout=PATIENCE)
                assert next(watch).status == SERVING
                watch.cancel()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(come_and_go, range(4)))

    assert server.health.Check(HealthCheckRequest(), timeout=PATIENCE).status == SERVING


@pytest.mark.slow
def test_a_watcher_learns_that_the_server_drains_and_does_not_delay_it(
    run_server: Callable[..., Any],
) -> None:
    server = run_server(grace_seconds=3600)
    watch = server.health.Watch(HealthCheckRequest(service="colors"))
    assert next(watch).status == SERVING

    server.server.stop()

    assert [reply.status for reply in watch] == [NOT_SERVING]


@pytest.mark.slow
def test_running_requests_get_their_responses_while_the_server_drains(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    color_image: Callable[..., bytes],
    eventually: Callable[..., None],
) -> None:
    server = run_server(open_network, grace_seconds=PATIENCE)
    network.close_gate()
    call = server.vision.Classify.future(ClassifyRequest(image=Image(encoded=color_image("red"))))
    watch = server.health.Watch(HealthCheckRequest())
    assert next(watch).status == SERVING
    assert network.entered.acquire(timeout=PATIENCE)

    stopping = Thread(target=server.server.stop)
    stopping.start()
    assert next(watch).status == NOT_SERVING
    network.gate.set()
    stopping.join(PATIENCE)

    assert call.result(PATIENCE).classes[0].name == "red"


def test_requests_that_run_longer_than_the_grace_period_are_cancelled(
    run_server: Callable[..., Any],
    open_network: Callable[[Path], Model],
    network: Any,
    color_image: Callable[..., bytes],
) -> None:
    server = run_server(open_network)
    network.close_gate()
    call = server.vision.Classify.future(ClassifyRequest(image=Image(encoded=color_image("red"))))
    assert network.entered.acquire(timeout=PATIENCE)
    call.add_done_callback(lambda _: network.gate.set())

    server.server.stop(grace=0.05)

    assert call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)


def test_reflection_lists_the_services(server: Any) -> None:
    request = ServerReflectionRequest(list_services="")

    (reply,) = ServerReflectionStub(server.channel).ServerReflectionInfo(iter([request]))

    assert {service.name for service in reply.list_services_response.service} == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "spyglass.v1.Vision",
    }


def test_reflection_describes_the_methods(server: Any) -> None:
    request = ServerReflectionRequest(file_containing_symbol="spyglass.v1.Vision")

    (reply,) = ServerReflectionStub(server.channel).ServerReflectionInfo(iter([request]))

    described, *_ = reply.file_descriptor_response.file_descriptor_proto
    (service,) = FileDescriptorProto.FromString(described).service
    assert {"Classify", "Segment", "Heatmap", "ListModels"} <= {method.name for method in service.method}


def test_a_port_in_use_is_refused(server: Any, tiny_models: Path) -> None:
    with pytest.raises(ListenError, match=f"cannot listen on localhost:{server.server.port}"):
        Server(ServerSettings(models=tiny_models, host="localhost", port=server.server.port))


def test_a_server_whose_model_fails_its_certificate_does_not_start(tiny_models: Path) -> None:
    def open_model(path: Path) -> Model:
        raise ModelError("not today")

    server = Server(ServerSettings(models=tiny_models, host="localhost", port=0))
    with pytest.raises(ModelError, match="colors/1: not today"):
        server.start(open_model)
    server.stop(grace=0)
