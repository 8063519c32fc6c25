"""The servers of the comparison: how each starts, and how a request reaches it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from comparing.in_process import InProcessTarget
from competitors.environments import environment_variables, installed_versions, python_of
from measuring.process_tree import ProcessTree
from measuring.stream_loop import StreamTarget
from measuring.targets import CLASSIFY, CLASSIFY_STREAM, CallFailed, GrpcTarget, HttpTarget, Target
from serving_process import free_port, serving
from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models

_START_SECONDS = 60.0
_BATCH = 8
# Of what a server that does not start wrote.
_SHOWN_CHARACTERS = 2000
_SERVERS = Path(__file__).resolve().parents[1]
_V2_INFER = "/inference.GRPCInferenceService/ModelInfer"

AnyTarget = Target | StreamTarget


@dataclass(frozen=True)
class Served:
    """A server of one model, or the client process itself if `tree` is None."""

    tree: ProcessTree | None
    target: AnyTarget
    # Class names and scores of a response's body.
    scores: Callable[[bytes], dict[str, float]]


@dataclass(frozen=True)
class Variant:
    """A way to serve a model. `start` takes the name of a bundled model and the image to send."""

    name: str
    start: Callable[[str, bytes], Iterator[Served]]
    versions: dict[str, str]

    @contextmanager
    def started(self, model: str, image: bytes) -> Iterator[Served]:
        """Start the server, wait until it responds, and end it afterwards. Raises CallFailed."""
        yield from self.start(model, image)


def in_process(name: str, *, processes: bool = False) -> Variant:
    """Return the limit: no server, but a thread for each core; `processes`: of a process each.

    Threads of one process share Python's lock, which tiny images feel.
    """

    def start(model: str, image: bytes) -> Iterator[Served]:
        yield Served(None, InProcessTarget(str(model_file(model)), image, processes), _json_scores)

    return Variant(name, start, {})


def spyglass(name: str, flags: list[str], *, streamed: bool = False) -> Variant:
    """Return Spyglass with these flags of `spyglass serve`; `streamed`: all images in a stream a client."""

    def start(model: str, image: bytes) -> Iterator[Served]:
        payload = classify_payload(model, image)
        with serving("--models", str(bundled_models()), *flags) as (address, process):
            unary = GrpcTarget(address, CLASSIFY, payload)
            target = StreamTarget(address, CLASSIFY_STREAM, payload) if streamed else unary
            yield Served(ProcessTree(process.pid), target, _grpc_scores)

    return Variant(name, start, {})


def plain() -> Variant:
    """Return the plainest server: grpcio's threads, Pillow and ONNX Runtime."""

    def start(model: str, image: bytes) -> Iterator[Served]:
        port = free_port()
        command = [sys.executable, _SERVERS / "plain_server.py", str(port), model_file(model)]
        target = GrpcTarget(f"localhost:{port}", CLASSIFY, classify_payload(model, image))
        with _process(command, target) as tree:
            yield Served(tree, target, _grpc_scores)

    return Variant("plain", start, {})


def other(server: str, *, batch: bool) -> Variant | None:
    """Return LitServe, MLServer or mosec, with batches of up to 8 or without; None if not installed."""
    versions = installed_versions(server)
    if not versions:
        return None
    start = partial(_start_other, server, _BATCH if batch else 1)
    return Variant(f"{server}, batches" if batch else server, start, versions)


def _start_other(server: str, batch: int, model: str, image: bytes) -> Iterator[Served]:
    port = free_port()
    script = _SERVERS / "competitors" / f"{server}_server.py"
    command = [python_of(server), script, str(port), model_file(model), str(usable_cpus()), str(batch)]
    target, scores = _protocol(server, port, image)
    with _process(command, target) as tree:
        yield Served(tree, target, scores)


def _protocol(server: str, port: int, image: bytes) -> tuple[Target, Callable[[bytes], dict[str, float]]]:
    if server == "mlserver":
        payload = _wire("request", image)
        return GrpcTarget(f"localhost:{port}", _V2_INFER, payload), lambda body: _json_scores(
            _wire("response", body)
        )
    path = {"litserve": "/predict", "mosec": "/inference"}[server]
    return HttpTarget(port, path, image, "application/octet-stream"), _json_scores


def _wire(direction: str, data: bytes) -> bytes:
    script = _SERVERS / "competitors" / "mlserver_wire.py"
    found = subprocess.run(
        [python_of("mlserver"), script, direction],
        input=data,
        capture_output=True,
        check=True,
        env=environment_variables(),
    )
    return found.stdout


@contextmanager
def _process(command: list[str | Path], target: Target) -> Iterator[ProcessTree]:
    """Run a server from its start until `target` has its first response; end it with its children."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, env=environment_variables()
        ) as process,
    ):
        tree = ProcessTree(process.pid)
        try:
            _wait(process, target, errors)
            yield tree
        finally:
            tree.end()


def _wait(process: subprocess.Popen[bytes], target: Target, errors: IO[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with target.connect(1) as (call,):
                call()
            return
        except CallFailed as error:
            if process.poll() is not None or time.monotonic() > end:
                errors.seek(0)
                text = errors.read().decode(errors="replace")[-_SHOWN_CHARACTERS:]
                raise CallFailed(f"{process.args!r} does not respond: {error}\n{text}") from None
        time.sleep(0.2)


def classify_payload(model: str, image: bytes) -> bytes:
    """Return a ClassifyRequest as bytes."""
    request = ClassifyRequest()
    request.model.name = model
    request.image.encoded = image
    return request.SerializeToString()


def model_file(model: str) -> Path:
    """Return the newest file of a bundled model."""
    files = (bundled_models() / model).glob("*/model.onnx")
    return max(files, key=lambda path: int(path.parent.name))


def _grpc_scores(body: bytes) -> dict[str, float]:
    return {each.name: each.score for each in ClassifyResponse.FromString(body).classes}


def _json_scores(body: bytes) -> dict[str, float]:
    return {each["name"]: each["score"] for each in json.loads(body)["classes"]}
