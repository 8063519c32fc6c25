"""Segmentation inside of the server: the queue, faults, streams, and the local client."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

import spyglass_client as sc
from handled import Handled
from spyglass.v1.image_pb2 import Image
from spyglass.v1.segment_pb2 import MASK_FORMAT_RAW, Refinement, SegmentRequest
from spyglass_contract.errors import DeadlineExceeded, FailedPrecondition, InternalError, InvalidInput
from spyglass_server import local_client
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.session import Session
from works import submit

PATIENCE = 30
RED = 1


class WatchedNetwork:
    """A session whose outputs a test can spoil; while the gate is closed, each run waits."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.card, self.provider = session.card, session.provider
        self.gate = Event()
        self.gate.set()
        self.spoil: Callable[[NDArray[np.float32]], object] = lambda output: None
        self.runs = 0

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.runs += 1
        assert self.gate.wait(PATIENCE)
        output = self._session.run(pixels)
        self.spoil(output)
        return output


@pytest.fixture
def network(segmenting_models: Path) -> WatchedNetwork:
    return WatchedNetwork(Session(segmenting_models / "stretch/1/model.onnx", device="cpu"))


@pytest.fixture
def handled(network: WatchedNetwork) -> Iterator[Handled]:
    path = Path("stretch/1/model.onnx")
    opened = Handled(path, lambda path: Model(network, "ab" * 32, Resources(workers=1)))
    yield opened
    network.gate.set()
    opened.close()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_a_fault_of_the_server(
    handled: Handled, network: WatchedNetwork, color_image: Callable[..., bytes], value: float
) -> None:
    def spoil(output: NDArray[np.float32]) -> None:
        output[0, 3, 4, 1] = value

    network.spoil = spoil
    with pytest.raises(InternalError) as caught:
        handled.segment(color_image("red"))
    assert caught.value.reason == "OUTPUT_NOT_FINITE"
    assert handled.inside == 0


def test_an_image_whose_deadline_passes_in_the_queue_is_dropped(
    handled: Handled, network: WatchedNetwork, color_image: Callable[..., bytes]
) -> None:
    network.gate.clear()
    network.runs = 0
    model = next(iter(handled.repository))
    occupied = submit(handled.engine.workers, model, np.zeros((24, 32, 3), np.uint8), network.run)
    with pytest.raises(DeadlineExceeded):
        handled.segment(color_image("red"), call=Call(time.monotonic() + 0.05))
    assert handled.inside == 1
    network.gate.set()
    occupied.result(PATIENCE)
    handled.close()
    assert network.runs == 1


def test_an_invalid_request_is_refused_before_the_network_runs(
    handled: Handled, network: WatchedNetwork, color_image: Callable[..., bytes]
) -> None:
    network.runs = 0
    for mistake in ({"soft_class_name": "purple"}, {"refine": [Refinement(class_index=9)]}):
        with pytest.raises(InvalidInput):
            handled.segment(color_image("red"), **mistake)
    assert network.runs == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_segmented_too(handled: Handled, channels: int) -> None:
    pixels = np.full((12, 20, channels), 255, np.uint8)
    found = handled.segment(pixels, format=MASK_FORMAT_RAW)
    assert (np.frombuffer(found.mask.data, np.uint8) == RED).all()
    assert found.classes[RED].mean_score == pytest.approx(1 / 3, abs=1e-3)


def test_a_local_client_returns_masks(
    segmenting_models: Path, square_image: Callable[..., PillowImage.Image], encode: Callable[..., bytes]
) -> None:
    data = encode(square_image((64, 48), (20, 10, 40, 30)))
    with local_client(segmenting_models) as client:
        refine = [sc.Refinement("red", fill_holes=True)]
        found = client.segment(data, model="pad", refine=refine, soft="red", timeout=PATIENCE)
        with pytest.raises(FailedPrecondition):
            client.segment(data, model="colors")
        assert client.classify(data, model="colors").model.name == "colors"
    mask = found.array
    assert mask.shape == (48, 64)
    assert found.classes[RED].pixels == (mask == RED).sum() == pytest.approx(400, abs=8)
    assert found.soft_class == found.classes[RED]


def test_the_default_model_is_of_the_task_of_the_request(
    segmenting_models: Path, color_image: Callable[..., bytes]
) -> None:
    with local_client(segmenting_models) as client:
        assert client.classify(color_image("green")).best.name == "green"


def test_the_limit_of_streams_includes_streams_of_masks(
    run_server: Callable[..., object], segmenting_models: Path, color_image: Callable[..., bytes]
) -> None:
    server = run_server(models=segmenting_models, default_model=["stretch"], max_streams=1)
    ended = Event()

    def one_and_silence() -> Iterator[SegmentRequest]:
        yield SegmentRequest(image=Image(encoded=color_image("red")))
        ended.wait(PATIENCE)

    first = server.vision.SegmentStream(one_and_silence(), timeout=PATIENCE)
    assert next(first).classes[RED].fraction == 1
    with pytest.raises(grpc.RpcError) as caught:
        list(server.vision.SegmentStream(iter([SegmentRequest()]), timeout=PATIENCE))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    ended.set()
    assert list(first) == []


def test_a_server_starts_without_importing_the_packages_of_refinements() -> None:
    program = "import sys, spyglass_server.process; print('scipy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
