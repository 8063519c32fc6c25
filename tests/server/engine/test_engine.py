"""The engine: from an image to the response of its work, in the calling thread."""

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
from spyglass_contract.errors import Cancelled, DeadlineExceeded, ImageError, LimitExceeded
from spyglass_contract.images.header import Limits
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.work import Work

PATIENCE = 30
MakeImage = Callable[..., bytes]


@pytest.fixture
def engine(open_network: Callable[[Path], Model]) -> Iterator[Engine]:
    with closing(
        Handled(Path("colors/1/model.onnx"), open_network, limits=Limits(max_pixels=1000))
    ) as handled:
        yield handled.engine


@pytest.fixture
def work(engine: Engine) -> Callable[..., Work]:
    """Make the work of an image: `work(image, **arguments of Engine.work)`. Its response is the output."""
    (model,) = engine.repository

    def make(image: Any, **changes: Any) -> Work:
        respond = changes.pop("respond", lambda inferred: inferred.output)
        return engine.work(image, model, model.network.run, respond, **changes)

    return make


def test_a_run_returns_the_response_of_its_work(
    engine: Engine, work: Callable[..., Work], color_image: MakeImage
) -> None:
    assert engine.run(work(color_image("green")), Call()).argmax() == 1
    assert engine.run(work(np.full((9, 9, 3), (0, 0, 255), np.uint8)), Call()).argmax() == 2


def test_a_run_raises_the_error_of_its_work(
    engine: Engine, work: Callable[..., Work], color_image: MakeImage
) -> None:
    def fail(_: object) -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        engine.run(work(color_image("red"), respond=fail), Call())
    with pytest.raises(ImageError):
        engine.run(work(b"no image"), Call())
    with pytest.raises(LimitExceeded):
        engine.run(work(color_image("red", (40, 40))), Call())


def test_an_image_that_its_check_rejects_does_not_run(
    engine: Engine, work: Callable[..., Work], network: Any, color_image: MakeImage
) -> None:
    def check(prepared: Any) -> None:
        raise LimitExceeded(f"{prepared.width} × {prepared.height}")

    network.batches.clear()
    with pytest.raises(LimitExceeded, match="20 × 12"):
        engine.run(work(color_image("red", (20, 12)), check=check), Call())
    assert network.batches == []


def test_a_run_ends_at_its_deadline_and_when_its_caller_cancels(
    engine: Engine, work: Callable[..., Work], network: Any, color_image: MakeImage
) -> None:
    network.close_gate()
    call, started = Call(), time.monotonic()
    with pytest.raises(DeadlineExceeded):
        engine.run(work(color_image("red")), Call(started + 0.05))
    assert time.monotonic() - started < 2

    with ThreadPoolExecutor() as pool:
        running = pool.submit(engine.run, work(color_image("red")), call)
        call.cancel()
        with pytest.raises(Cancelled):
            running.result(PATIENCE)
    assert engine.workers.inside == 0
    network.gate.set()


def test_images_of_about_one_size_and_kind_are_expected_to_cost_the_same(work: Callable[..., Work]) -> None:
    small, similar, large = (work(bytes(size)).cost_key for size in (1100, 1900, 1_000_000))
    pixels = np.zeros((20, 20, 3), np.uint8)

    assert small == similar
    assert small != large
    assert small != work(bytes(1100), kind="other").cost_key
    assert work(pixels).cost_key == work(bytes(pixels.nbytes)).cost_key
