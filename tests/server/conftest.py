"""A network that stops at a gate, and a server around it on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Semaphore

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2_grpc import HealthStub
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass.v1.vision_pb2_grpc import VisionStub
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

PATIENCE = 30


class GatedNetwork:
    """The colour network; while its gate is closed, each run waits."""

    provider = "CPUExecutionProvider"

    def __init__(self, card: ModelCard, compute: Run) -> None:
        self.card = card
        self.compute = compute
        self.gate = Event()
        self.gate.set()
        # Released once for each batch that has arrived.
        self.entered = Semaphore(0)
        self.batches: list[int] = []

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(pixels))
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        return self.compute(pixels)

    def close_gate(self) -> None:
        """Make each run wait from now on; forget earlier runs."""
        self.gate.clear()
        self.batches.clear()
        self.entered = Semaphore(0)


@pytest.fixture
def network(make_card: Callable[..., ModelCard], classify_colors: Run) -> Iterator[GatedNetwork]:
    gated = GatedNetwork(make_card(), classify_colors)
    yield gated
    gated.gate.set()


@pytest.fixture
def open_network(network: GatedNetwork) -> Callable[[Path], Model]:
    """Open the gated network as a model with one worker, for any path."""
    return lambda path: Model(network, "ab" * 32, Resources(workers=1))


@dataclass
class Running:
    """A server, and stubs that call it."""

    server: Server
    channel: grpc.Channel

    def __post_init__(self) -> None:
        self.vision = VisionStub(self.channel)
        self.health = HealthStub(self.channel)


@pytest.fixture
def run_server(tiny_models: Path) -> Iterator[Callable[..., Running]]:
    """Start a server in this process: `run_server(open_model=None, **settings)`."""
    running: list[Running] = []

    def start(open_model: Callable[[Path], Model] | None = None, **settings: object) -> Running:
        fields = {
            "models": tiny_models,
            "host": "localhost",
            "port": 0,
            "concurrency": 1,
            "grace_seconds": 5,
            "profile_seconds": 0,
            # Many tests send more calls on one connection than a server usually takes.
            "max_calls_per_connection": 1024,
        }
        server = Server(ServerSettings(**{**fields, **settings}))
        channel = grpc.insecure_channel(f"localhost:{server.port}")
        running.append(Running(server, channel))
        server.start(open_model)
        return running[-1]

    yield start
    for one in running:
        one.channel.close()
        one.server.stop(grace=0)


@pytest.fixture
def server(run_server: Callable[..., Running]) -> Running:
    """A server with the tiny classifier and the default settings."""
    return run_server()


@pytest.fixture
def segmenting(segmenting_server: str) -> Iterator[VisionStub]:
    """A stub that calls the server of the segmentation models."""
    unlimited = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(segmenting_server, unlimited) as channel:
        yield VisionStub(channel)


@dataclass
class Refusal:
    """The error of a failed call, as its caller receives it."""

    code: grpc.StatusCode
    message: str
    reason: str
    request_id: str
    # The parts of the request that are at fault.
    fields: list[str]
    # In seconds; None: no RetryInfo came.
    retry_delay: float | None


@pytest.fixture(scope="session")
def refused() -> Callable[[Callable[[], object]], Refusal]:
    """Make a call that fails: `refused(lambda: stub.Classify(request))`."""

    def refuse(call: Callable[[], object]) -> Refusal:
        with pytest.raises(grpc.RpcError) as raised:
            call()
        trailing = dict(raised.value.trailing_metadata())
        status = Status.FromString(trailing["grpc-status-details-bin"])
        assert (status.code, status.message) == (raised.value.code().value[0], raised.value.details())
        assert trailing["x-request-id"] == _detail(status, RequestInfo()).request_id
        return refusal_of(status)

    return refuse


@pytest.fixture(scope="session")
def refusal_in() -> Callable[[Status], Refusal]:
    """Return the error of a status inside of a streamed response."""
    return refusal_of


def refusal_of(status: Status) -> Refusal:
    retry = RetryInfo()
    has_retry = any(entry.Unpack(retry) for entry in status.details)
    assert _detail(status, ErrorInfo()).domain == "errors.spyglass.v1"
    return Refusal(
        code=next(code for code in grpc.StatusCode if code.value[0] == status.code),
        message=status.message,
        reason=_detail(status, ErrorInfo()).reason,
        request_id=_detail(status, RequestInfo()).request_id,
        fields=[violation.field for violation in _detail(status, BadRequest()).field_violations],
        retry_delay=retry.retry_delay.ToMilliseconds() / 1000 if has_retry else None,
    )


def _detail(status: Status, message: Message) -> Message:
    for entry in status.details:
        entry.Unpack(message)
    return message
