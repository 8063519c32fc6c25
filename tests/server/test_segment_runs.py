"""Segmentation inside of the server: the queue, faults, streams, and one process for all."""

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

from spyglass.v1.image_pb2 import Image
from spyglass.v1.segment_pb2 import MASK_FORMAT_RAW, SegmentRequest
from spyglass_contract.errors import DeadlineExceeded, FailedPrecondition, InternalError, InvalidInput
from spyglass_contract.images.header import Limits
from spyglass_contract.masks.palette_png import decode_mask
from spyglass_server.dataplane import DataPlane
from spyglass_server.domain import ModelSelector, Refinement
from spyglass_server.embedded import open_embedded
from spyglass_server.engine.admission import Admission
from spyglass_server.engine.call import Call
from spyglass_server.engine.model import Model, Resources
from spyglass_server.engine.repository import Repository
from spyglass_server.engine.session import Session
from spyglass_server.masks.styles import MaskStyle

PATIENCE = 30
RED = 1


class WatchedNetwork:
    """A session whose answers can be spoilt and, while the gate is closed, wait."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.card, self.provider = session.card, session.provider
        self.gate = Event()
        self.gate.set()
        self.spoil: Callable[[NDArray[np.float32]], object] = lambda answer: None
        self.runs = 0

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.runs += 1
        assert self.gate.wait(PATIENCE)
        answer = self._session.run(pixels)
        self.spoil(answer)
        return answer


@pytest.fixture
def network(segmenting_models: Path) -> WatchedNetwork:
    return WatchedNetwork(Session(segmenting_models / "stretch/1/model.onnx", device="cpu"))


@pytest.fixture
def dataplane(network: WatchedNetwork) -> Iterator[DataPlane]:
    repository = Repository()
    repository.load(
        Path("stretch/1/model.onnx"), lambda path: Model(network, "ab" * 32, Resources(workers=1))
    )
    opened = DataPlane(repository, Admission(4), decoders=1, limits=Limits())
    yield opened
    network.gate.set()
    opened.close()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_a_fault_of_the_servers(
    dataplane: DataPlane, network: WatchedNetwork, color_image: Callable[..., bytes], value: float
) -> None:
    def spoil(answer: NDArray[np.float32]) -> None:
        answer[0, 3, 4, 1] = value

    network.spoil = spoil
    with pytest.raises(InternalError) as caught:
        dataplane.segment(color_image("red"), model=ModelSelector())
    assert caught.value.reason == "OUTPUT_NOT_FINITE"
    assert dataplane.admission.inside == 0


def test_an_image_whose_deadline_passes_in_the_queue_is_dropped(
    dataplane: DataPlane, network: WatchedNetwork, color_image: Callable[..., bytes]
) -> None:
    network.gate.clear()
    network.runs = 0
    model = next(iter(dataplane.repository))
    occupied = model.submit(np.zeros((24, 32, 3), np.uint8), Call())
    with pytest.raises(DeadlineExceeded):
        dataplane.segment(color_image("red"), model=ModelSelector(), call=Call(time.monotonic() + 0.05))
    assert dataplane.admission.inside == 0
    network.gate.set()
    occupied.result(PATIENCE)
    dataplane.close()
    assert network.runs == 1


def test_what_is_wrong_with_a_request_is_said_before_anything_is_run(
    dataplane: DataPlane, network: WatchedNetwork, color_image: Callable[..., bytes]
) -> None:
    network.runs = 0
    for mistake in ({"soft": "purple"}, {"refine": [Refinement(9)]}):
        with pytest.raises(InvalidInput):
            dataplane.segment(color_image("red"), model=ModelSelector(), **mistake)
    assert network.runs == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_taken_too(dataplane: DataPlane, channels: int) -> None:
    pixels = np.full((12, 20, channels), 255, np.uint8)
    found = dataplane.segment(pixels, model=ModelSelector(), style=MaskStyle(MASK_FORMAT_RAW))
    assert (np.frombuffer(found.mask.data, np.uint8) == RED).all()
    assert found.classes[RED].mean_score == pytest.approx(1 / 3, abs=1e-3)


def test_without_a_server_masks_are_had_too(
    segmenting_models: Path, square_image: Callable[..., PillowImage.Image], encode: Callable[..., bytes]
) -> None:
    data = encode(square_image((64, 48), (20, 10, 40, 30)))
    with open_embedded(segmenting_models) as embedded:
        found = embedded.segment(
            data,
            model=ModelSelector("pad"),
            refine=[Refinement("red", fill_holes=True)],
            soft="red",
            timeout=PATIENCE,
        )
        with pytest.raises(FailedPrecondition):
            embedded.segment(data, model=ModelSelector("colors"))
    mask = decode_mask(found.mask.data)
    assert mask.shape == (48, 64)
    assert found.classes[RED].pixels == (mask == RED).sum() == pytest.approx(400, abs=8)
    assert found.soft is not None and found.soft.class_index == RED


def test_the_models_of_one_task_do_not_stand_in_for_another(
    segmenting_models: Path, color_image: Callable[..., bytes]
) -> None:
    with open_embedded(segmenting_models) as embedded:
        assert embedded.classify(color_image("green")).classes[0].name == "green"


def test_streams_of_masks_are_counted_as_all_streams_are(
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


def test_a_server_starts_without_what_only_refinements_need() -> None:
    program = "import sys, spyglass_server.process; print('scipy' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
