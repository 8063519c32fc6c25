"""An image and a model in, an answer out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import numpy as np
import pytest

from spyglass_contract.errors import (
    Cancelled,
    DeadlineExceeded,
    ImageError,
    InternalError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Overloaded,
)
from spyglass_contract.images.header import Limits
from spyglass_server.dataplane import DataPlane, best_classes
from spyglass_server.domain import ModelSelector
from spyglass_server.engine.admission import Admission
from spyglass_server.engine.call import Call
from spyglass_server.engine.model import Model
from spyglass_server.engine.repository import Repository

PATIENCE = 30
ANY = ModelSelector()
MakeImage = Callable[..., bytes]


@pytest.fixture
def dataplane(open_network: Callable[[Path], Model]) -> Iterator[DataPlane]:
    repository = Repository()
    repository.load(Path("colors/1/model.onnx"), open_network)
    limits = Limits(max_bytes=100_000, max_pixels=10_000)
    with closing(DataPlane(repository, Admission(4), decoders=2, limits=limits)) as plane:
        yield plane


def test_an_image_is_classified(dataplane: DataPlane, color_image: MakeImage) -> None:
    result = dataplane.classify(color_image("green"), model=ANY)

    assert [(score.index, score.name) for score in result.classes] == [(1, "green"), (0, "red"), (2, "blue")]
    assert result.classes[0].score > 0.99
    assert sum(score.score for score in result.classes) == pytest.approx(1)
    assert (result.served_by.model, result.served_by.version) == ("colors", 1)


def test_pixels_are_classified_as_the_file_of_them_is(dataplane: DataPlane, color_image: MakeImage) -> None:
    pixels = np.full((12, 20, 3), (200, 180, 10), np.uint8)

    from_pixels = dataplane.classify(pixels, model=ANY)
    from_file = dataplane.classify(color_image((200, 180, 10)), model=ANY)

    assert from_pixels.classes == from_file.classes


def test_the_time_of_each_part_is_told(dataplane: DataPlane, color_image: MakeImage) -> None:
    timing = dataplane.classify(color_image("red"), model=ANY).timing

    assert timing.decode_ms > 0
    assert timing.queue_ms >= 0
    assert timing.inference_ms > 0
    assert timing.encode_ms > 0
    assert timing.batch_size == 1


@pytest.mark.parametrize(("top_k", "count"), [(0, 3), (1, 1), (2, 2), (3, 3)])
def test_as_many_classes_come_as_were_asked_for(
    dataplane: DataPlane, color_image: MakeImage, top_k: int, count: int
) -> None:
    assert len(dataplane.classify(color_image("red"), model=ANY, top_k=top_k).classes) == count


@pytest.mark.parametrize("top_k", [4, 1000, -1])
def test_more_classes_than_there_are_cannot_be_had(
    dataplane: DataPlane, color_image: MakeImage, top_k: int
) -> None:
    with pytest.raises(InvalidInput, match="colors has 3 classes") as raised:
        dataplane.classify(color_image("red"), model=ANY, top_k=top_k)

    assert (raised.value.reason, raised.value.field) == ("TOP_K_INVALID", "top_k")


def test_five_classes_come_where_nobody_says_how_many() -> None:
    probabilities = np.array([0.1, 0.3, 0.1, 0.3, 0.2], np.float32)

    assert [score.index for score in best_classes(probabilities, "abcde", 5)] == [1, 3, 4, 0, 2]
    assert [score.name for score in best_classes(probabilities, "abcde", 2)] == ["b", "d"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_a_fault(
    dataplane: DataPlane, network: Any, color_image: MakeImage, value: float
) -> None:
    network.answer = lambda pixels: np.full((len(pixels), 3), value, np.float32)

    with pytest.raises(InternalError) as raised:
        dataplane.classify(color_image("red"), model=ANY)

    assert raised.value.reason == "OUTPUT_NOT_FINITE"


def test_a_failure_of_the_network_reaches_its_caller(
    dataplane: DataPlane, network: Any, color_image: MakeImage
) -> None:
    def fail(pixels: object) -> object:
        raise RuntimeError("kernel failed")

    network.answer = fail

    with pytest.raises(RuntimeError, match="kernel failed"):
        dataplane.classify(color_image("red"), model=ANY)
    assert dataplane.admission.inside == 0


def test_limits_hold(dataplane: DataPlane, color_image: MakeImage) -> None:
    with pytest.raises(LimitExceeded):
        dataplane.classify(color_image("red", (101, 100)), model=ANY)
    with pytest.raises(LimitExceeded):
        dataplane.classify(np.zeros((101, 100, 3), np.uint8), model=ANY)
    with pytest.raises(LimitExceeded):
        dataplane.classify(bytes(100_001), model=ANY)


def test_who_fails_gives_the_permit_back(dataplane: DataPlane, color_image: MakeImage) -> None:
    for _ in range(10):
        with pytest.raises(ImageError):
            dataplane.classify(b"no image", model=ANY)
        with pytest.raises(NotFound):
            dataplane.classify(color_image("red"), model=ModelSelector("other"))

    assert dataplane.admission.inside == 0


def test_without_room_a_request_is_refused_before_its_image_is_looked_at(
    dataplane: DataPlane, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(dataplane.classify, color_image("red"), model=ANY) for _ in range(4)]
        eventually(lambda: dataplane.admission.inside == 4)
        with pytest.raises(Overloaded):
            dataplane.classify(b"no image", model=ANY)
        network.gate.set()
        assert all(future.result(PATIENCE).classes[0].name == "red" for future in waiting)


def test_a_deadline_that_passes_drops_what_waits(
    dataplane: DataPlane, network: Any, color_image: MakeImage
) -> None:
    network.close_gate()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(dataplane.classify, color_image("red"), model=ANY)
        assert network.entered.acquire(timeout=PATIENCE)
        with pytest.raises(DeadlineExceeded):
            dataplane.classify(color_image("blue"), model=ANY, call=Call(time.monotonic() + 0.05))
        network.gate.set()
        first.result(PATIENCE)

    dataplane.classify(color_image("red"), model=ANY)
    assert network.batches == [1, 1]


def test_a_caller_that_goes_drops_what_waits(
    dataplane: DataPlane, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()
    call = Call()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(dataplane.classify, color_image("red"), model=ANY)
        assert network.entered.acquire(timeout=PATIENCE)
        second = pool.submit(dataplane.classify, color_image("blue"), model=ANY, call=call)
        eventually(lambda: dataplane.admission.inside == 2)
        call.cancel()
        with pytest.raises(Cancelled):
            second.result(PATIENCE)
        network.gate.set()
        first.result(PATIENCE)

    dataplane.classify(color_image("red"), model=ANY)
    assert network.batches == [1, 1]


def test_a_permit_is_held_for_as_long_as_the_image_waits_for_a_decoder(
    dataplane: DataPlane, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    call, go_on, both_busy = Call(), Event(), Barrier(3)

    def occupy() -> None:
        both_busy.wait(PATIENCE)
        assert go_on.wait(PATIENCE)

    decoders = [dataplane._decoders.submit(occupy) for _ in range(2)]
    both_busy.wait(PATIENCE)

    with ThreadPoolExecutor() as pool:
        asked = pool.submit(dataplane.classify, color_image("red"), model=ANY, call=call)
        eventually(lambda: dataplane.admission.inside == 1)
        call.cancel()
        with pytest.raises(TimeoutError):
            asked.result(timeout=0.1)
        assert dataplane.admission.inside == 1
        go_on.set()
        with pytest.raises(Cancelled):
            asked.result(PATIENCE)

    for decoder in decoders:
        decoder.result(PATIENCE)
    assert dataplane.admission.inside == 0
