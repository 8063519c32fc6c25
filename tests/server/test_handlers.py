"""The handlers: one request to one response."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from handled import Handled
from spyglass.v1.model_pb2 import ModelRef
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
from spyglass_server.engine.call import Call
from spyglass_server.engine.classes import best_classes, top_count
from spyglass_server.engine.models.model import Model

PATIENCE = 30
MakeImage = Callable[..., bytes]


@pytest.fixture
def handled(open_network: Callable[[Path], Model]) -> Iterator[Handled]:
    limits = Limits(max_bytes=100_000, max_pixels=10_000)
    path = Path("colors/1/model.onnx")
    with closing(Handled(path, open_network, limits=limits)) as opened:
        yield opened


def test_an_image_is_classified(handled: Handled, color_image: MakeImage) -> None:
    result = handled.classify(color_image("green"))

    assert [(score.index, score.name) for score in result.classes] == [(1, "green"), (0, "red"), (2, "blue")]
    assert result.classes[0].score > 0.99
    assert sum(score.score for score in result.classes) == pytest.approx(1)
    assert (result.served_by.model, result.served_by.version) == ("colors", 1)


def test_pixels_are_classified_like_their_file(handled: Handled, color_image: MakeImage) -> None:
    pixels = np.full((12, 20, 3), (200, 180, 10), np.uint8)

    from_pixels = handled.classify(pixels)
    from_file = handled.classify(color_image((200, 180, 10)))

    assert from_pixels.classes == from_file.classes


def test_a_response_has_the_time_of_each_step(handled: Handled, color_image: MakeImage) -> None:
    timing = handled.classify(color_image("red")).timing

    assert timing.decode_ms > 0
    assert timing.queue_ms >= 0
    assert timing.inference_ms > 0
    assert timing.encode_ms > 0
    assert timing.batch_size == 1


@pytest.mark.parametrize(("top_k", "count"), [(0, 3), (1, 1), (2, 2), (3, 3)])
def test_a_response_has_top_k_classes(
    handled: Handled, color_image: MakeImage, top_k: int, count: int
) -> None:
    assert len(handled.classify(color_image("red"), top_k=top_k).classes) == count


@pytest.mark.parametrize("top_k", [4, 1000])
def test_a_top_k_above_the_number_of_classes_is_rejected(
    handled: Handled, color_image: MakeImage, top_k: int
) -> None:
    with pytest.raises(InvalidInput, match="colors has 3 classes") as raised:
        handled.classify(color_image("red"), top_k=top_k)

    assert (raised.value.reason, raised.value.field) == ("TOP_K_INVALID", "top_k")


def test_classes_are_sorted_by_probability_and_then_by_index() -> None:
    probabilities = np.array([0.1, 0.3, 0.1, 0.3, 0.2], np.float32)

    assert [score.index for score in best_classes(probabilities, "abcde", 5)] == [1, 3, 4, 0, 2]
    assert [score.name for score in best_classes(probabilities, "abcde", 2)] == ["b", "d"]


@pytest.mark.parametrize(("classes", "expected"), [(3, 3), (5, 5), (6, 5), (1000, 5)])
def test_a_request_without_top_k_gets_five_classes_or_all_of_fewer(
    classes: int, expected: int, open_network: Callable[[Path], Model]
) -> None:
    model = open_network(Path())
    model.class_names = tuple(map(str, range(classes)))

    assert top_count(0, model) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_is_a_fault(
    handled: Handled, network: Any, color_image: MakeImage, value: float
) -> None:
    network.compute = lambda pixels: np.full((len(pixels), 3), value, np.float32)

    with pytest.raises(InternalError) as raised:
        handled.classify(color_image("red"))

    assert raised.value.reason == "OUTPUT_NOT_FINITE"


def test_a_failure_of_the_network_reaches_its_caller(
    handled: Handled, network: Any, color_image: MakeImage
) -> None:
    def fail(pixels: object) -> object:
        raise RuntimeError("kernel failed")

    network.compute = fail

    with pytest.raises(RuntimeError, match="kernel failed"):
        handled.classify(color_image("red"))
    assert handled.inside == 0


def test_the_limits_of_bytes_and_pixels_are_enforced(handled: Handled, color_image: MakeImage) -> None:
    with pytest.raises(LimitExceeded):
        handled.classify(color_image("red", (101, 100)))
    with pytest.raises(LimitExceeded):
        handled.classify(np.zeros((101, 100, 3), np.uint8))
    with pytest.raises(LimitExceeded):
        handled.classify(bytes(100_001))


def test_a_request_that_fails_gives_its_place_back(handled: Handled, color_image: MakeImage) -> None:
    for _ in range(10):
        with pytest.raises(ImageError):
            handled.classify(b"no image")
        with pytest.raises(NotFound):
            handled.classify(color_image("red"), model=ModelRef(name="other"))

    assert handled.inside == 0


def test_without_a_place_a_request_is_refused_before_its_image_is_read(
    handled: Handled, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()

    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(handled.classify, color_image("red")) for _ in range(4)]
        eventually(lambda: handled.inside == 4)
        with pytest.raises(Overloaded):
            handled.classify(b"no image")
        network.gate.set()
        assert all(future.result(PATIENCE).classes[0].name == "red" for future in waiting)


def test_a_request_that_waits_is_dropped_at_its_deadline(
    handled: Handled, network: Any, color_image: MakeImage
) -> None:
    network.close_gate()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(handled.classify, color_image("red"))
        assert network.entered.acquire(timeout=PATIENCE)
        with pytest.raises(DeadlineExceeded):
            handled.classify(color_image("blue"), call=Call(time.monotonic() + 0.05))
        network.gate.set()
        first.result(PATIENCE)

    handled.classify(color_image("red"))
    assert network.batches == [1, 1]


def test_a_request_that_waits_is_dropped_if_its_caller_cancels(
    handled: Handled, network: Any, color_image: MakeImage, eventually: Callable[..., None]
) -> None:
    network.close_gate()
    call = Call()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(handled.classify, color_image("red"))
        assert network.entered.acquire(timeout=PATIENCE)
        second = pool.submit(handled.classify, color_image("blue"), call=call)
        eventually(lambda: handled.inside == 2)
        call.cancel()
        with pytest.raises(Cancelled):
            second.result(PATIENCE)
        network.gate.set()
        first.result(PATIENCE)

    handled.classify(color_image("red"))
    assert network.batches == [1, 1]


def test_the_place_of_a_cancelled_call_is_free_at_once_while_its_image_runs(
    handled: Handled, network: Any, color_image: MakeImage
) -> None:
    network.close_gate()
    call = Call()

    with ThreadPoolExecutor() as pool:
        running = pool.submit(handled.classify, color_image("red"), call=call)
        assert network.entered.acquire(timeout=PATIENCE)
        call.cancel()
        with pytest.raises(Cancelled):
            running.result(PATIENCE)
        assert handled.inside == 0
        network.gate.set()

    assert handled.classify(color_image("red")).classes[0].name == "red"
    assert handled.inside == 0
