"""The process: its start, its errors if it cannot start, and its end."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import onnxruntime
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelCard
from spyglass.v1.vision_pb2_grpc import VisionStub

# Each test starts a process.
pytestmark = pytest.mark.slow

MakeCard = Callable[..., ModelCard]
MakeModel = Callable[..., Path]
Spawn = Callable[..., Any]

SERVE_AND_LIST_MODULES = """
import json, sys
from spyglass_server.server import Server
from spyglass_server.settings import load_settings

server = Server(load_settings(["--models", sys.argv[1], "--host", "localhost", "--port", "0"]))
server.start()
print(json.dumps(sorted(sys.modules)))
server.stop()
"""


def refusal_to_start(spawn_server: Spawn, *flags: object) -> str:
    """The one error that a server logs before it ends with exit code 1."""
    server = spawn_server(*flags)
    assert server.wait_until_ended() == 1, server.log
    assert "Traceback" not in "".join(server.log)
    (line,) = [line for line in server.log if " ERROR " in line]
    return str(line)


def test_a_default_model_that_is_not_served_is_an_error_with_the_models(
    spawn_server: Spawn, tiny_models: Path
) -> None:
    line = refusal_to_start(spawn_server, "--models", tiny_models, "--default-model", "nope")
    assert "the default model 'nope' is not among the models: colors" in line


def test_the_server_serves_and_ends_on_sigterm(
    spawn_server: Spawn, tiny_models: Path, color_image: Callable[..., bytes]
) -> None:
    server = spawn_server("--models", tiny_models)
    server.wait_until_serving()

    with grpc.insecure_channel(server.address) as channel:
        request = ClassifyRequest(image=Image(encoded=color_image("blue")))
        assert VisionStub(channel).Classify(request, timeout=30).classes[0].name == "blue"
    server.process.send_signal(signal.SIGTERM)

    assert server.wait_until_ended() == 0
    assert re.search(r"draining for up to 20 s\n$", server.log[-2])
    assert re.search(r"stopped\n$", server.log[-1])


def test_the_server_ends_on_sigint_too(spawn_server: Spawn, tiny_models: Path) -> None:
    server = spawn_server("--models", tiny_models)
    server.wait_until_serving()

    server.process.send_signal(signal.SIGINT)

    assert server.wait_until_ended() == 0


def test_a_second_signal_ends_the_server_at_once(spawn_server: Spawn, tiny_models: Path) -> None:
    server, idle = spawn_server("--models", tiny_models), Event()
    server.wait_until_serving()

    def one_and_silence() -> Iterator[ClassifyRequest]:
        yield ClassifyRequest()
        idle.wait(60)

    with grpc.insecure_channel(server.address) as channel:
        stream = VisionStub(channel).ClassifyStream(one_and_silence(), timeout=60)
        assert next(stream).HasField("error")
        watch = HealthStub(channel).Watch(HealthCheckRequest(), timeout=60)
        assert next(watch).status == HealthCheckResponse.SERVING
        server.process.send_signal(signal.SIGTERM)
        assert next(watch).status == HealthCheckResponse.NOT_SERVING
        server.process.send_signal(signal.SIGTERM)

        assert server.wait_until_ended() == 128 + signal.SIGTERM
        idle.set()


def test_the_log_is_json_if_the_setting_says_so(
    spawn_server: Spawn, tiny_models: Path, color_image: Callable[..., bytes]
) -> None:
    server = spawn_server("--models", tiny_models, "--log-format", "json")
    server.wait_until_serving()

    with grpc.insecure_channel(server.address) as channel:
        request = ClassifyRequest(image=Image(encoded=color_image("blue")))
        VisionStub(channel).Classify(request, metadata=[("x-request-id", "order-7")], timeout=30)
    server.process.send_signal(signal.SIGTERM)
    server.wait_until_ended()

    lines = [json.loads(line) for line in server.log]
    (line,) = [line for line in lines if line["message"] == "/spyglass.v1.Vision/Classify"]
    assert (line["request_id"], line["code"], line["level"]) == ("order-7", "OK", "info")
    assert line["duration_ms"] > 0


def test_the_server_imports_no_package_of_training_or_export(tiny_models: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", SERVE_AND_LIST_MODULES, str(tiny_models)],
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = {name.partition(".")[0] for name in json.loads(finished.stdout)}
    assert "onnxruntime" in loaded
    assert not loaded & {"onnx", "matplotlib", "tensorflow", "keras", "torch", "spyglass_training"}
    # Only models at URLs need these.
    assert not loaded & {"fsspec", "aiohttp"}
    assert not loaded & {"spyglass_export", "spyglass_client"}


def test_the_server_does_not_start_without_its_folder(spawn_server: Spawn, tmp_path: Path) -> None:
    assert "is not a folder of models" in refusal_to_start(spawn_server, "--models", tmp_path / "nowhere")


def test_the_server_does_not_start_with_a_corrupted_certificate(
    spawn_server: Spawn, make_card: MakeCard, make_model: MakeModel, tmp_path: Path
) -> None:
    card = make_card()
    card.certificate.images[0].encoded = card.certificate.images[0].encoded[:50]
    make_model(card)

    line = refusal_to_start(spawn_server, "--models", tmp_path / "models")

    assert "colors/1: golden red.png: the PNG is cut off" in line


def test_the_server_does_not_start_with_a_model_in_the_folder_of_another(
    spawn_server: Spawn, make_model: MakeModel, tmp_path: Path
) -> None:
    make_model().parent.parent.rename(tmp_path / "models/pets")

    line = refusal_to_start(spawn_server, "--models", tmp_path / "models")

    assert "pets/1: the card in the file is of colors/1" in line


def test_the_server_does_not_start_with_a_file_that_is_not_a_model(
    spawn_server: Spawn, make_model: MakeModel, tmp_path: Path
) -> None:
    make_model().write_bytes(b"<html>not found</html>")

    assert "colors/1: the file is no ONNX model" in refusal_to_start(
        spawn_server, "--models", tmp_path / "models"
    )


def test_the_server_does_not_start_on_a_port_in_use(spawn_server: Spawn, tiny_models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal_to_start(spawn_server, "--models", tiny_models, "--host", "127.0.0.1", "--port", port)

    assert f"cannot listen on 127.0.0.1:{port}" in line


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_the_server_does_not_start_on_a_missing_gpu(spawn_server: Spawn, tiny_models: Path) -> None:
    line = refusal_to_start(spawn_server, "--models", tiny_models, "--device", "cuda")

    assert "cuda was requested, but this ONNX Runtime has no CUDA" in line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port", "65536"], "spyglass serve: --port must be a whole number from 0 to 65535, not '65536'"),
        (["--config", "nowhere.yaml"], "spyglass serve: no settings file at nowhere.yaml"),
        (["--prot", "1"], "spyglass serve: error: unrecognized arguments: --prot 1"),
    ],
)
def test_an_invalid_setting_is_invalid_usage(spawn_server: Spawn, flags: list[str], message: str) -> None:
    server = spawn_server(*flags)

    assert server.wait_until_ended() == 2
    assert server.log[-1].strip() == message
