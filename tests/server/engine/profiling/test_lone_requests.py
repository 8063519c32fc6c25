"""A lone request runs on all cores; a busy server gives each run its usual threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event, Semaphore
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handled import Handled
from known_speed import Compute
from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.profiling.profile import MeasuredWay, Profile, Way
from spyglass_server.engine.scheduling.service_times import ServiceTimes
from spyglass_server.engine.work import Work

PATIENCE = 30
RED = np.full((8, 8, 3), (255, 0, 0), np.uint8)


class CountingNetwork:
    """The colour network; it counts its runs, and while its gate is closed each run waits."""

    provider = "CPUExecutionProvider"

    def __init__(self, card: ModelCard, compute: Compute) -> None:
        self.card = card
        self.compute = compute
        self.runs = 0
        self.gate = Event()
        self.gate.set()
        self.entered = Semaphore(0)

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.runs += 1
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        return self.compute(pixels)


class Pair:
    """A model with two workers, its network, and its network on all cores."""

    def __init__(self, card: ModelCard, compute: Compute) -> None:
        self.narrow = CountingNetwork(card, compute)
        self.wide = CountingNetwork(card, compute)
        self.model = Model(self.narrow, "ab" * 32, Resources(workers=2))
        self.model.use_wide(self.wide)
        self.narrow.runs = self.wide.runs = 0
        self.narrow.entered, self.wide.entered = Semaphore(0), Semaphore(0)

    @property
    def runs(self) -> tuple[int, int]:
        return self.narrow.runs, self.wide.runs


@pytest.fixture
def pair(make_card: Callable[..., ModelCard], classify_colors: Compute) -> Pair:
    return Pair(make_card(), classify_colors)


def test_a_lone_request_runs_on_all_cores(pair: Pair) -> None:
    with closing(Handled(Path("colors/1/model.onnx"), lambda path: pair.model, workers=2)) as handled:
        response = handled.classify(RED)

    assert response.classes[0].name == "red"
    assert pair.runs == (0, 1)


def test_a_request_beside_another_runs_on_its_usual_threads(pair: Pair) -> None:
    pair.wide.gate.clear()
    with (
        closing(Handled(Path("colors/1/model.onnx"), lambda path: pair.model, workers=2)) as handled,
        ThreadPoolExecutor(1) as callers,
    ):
        first = callers.submit(handled.classify, RED)
        assert pair.wide.entered.acquire(timeout=PATIENCE)
        handled.classify(RED)
        pair.wide.gate.set()
        first.result(PATIENCE)

    assert pair.runs == (1, 1)


def test_the_time_of_a_run_on_all_cores_is_not_taken_for_that_of_a_busy_worker(pair: Pair) -> None:
    works: list[Work] = []
    with closing(Handled(Path("colors/1/model.onnx"), lambda path: pair.model, workers=2)) as handled:
        pair.model.use_profile(Profile("now", (MeasuredWay(Way(1, 1, 1), 0.25),)))
        start = handled.engine.start

        def keep(work: Work, *rest: Any) -> None:
            works.append(work)
            start(work, *rest)

        handled.engine.start = keep  # type: ignore[method-assign]
        handled.classify(RED)
        expected = handled.engine.workers._times.expected(works[0])

    assert pair.runs == (0, 1)
    assert expected == 0.25


def test_only_the_run_of_classes_has_another_one_on_all_cores(pair: Pair) -> None:
    def other(pixels: NDArray[np.uint8]) -> list[int]:
        return [0] * len(pixels)

    assert pair.model.widest(pair.narrow.run) == pair.wide.run
    assert pair.model.widest(other) is other


def test_a_network_that_does_not_reproduce_the_certificate_is_not_used_on_all_cores(
    pair: Pair, make_card: Callable[..., ModelCard]
) -> None:
    model = Model(pair.narrow, "ab" * 32, Resources(workers=2))
    wrong = CountingNetwork(make_card(), lambda pixels: np.full((len(pixels), 3), 1 / 3, np.float32))

    with pytest.raises(CertificateError):
        model.use_wide(wrong)
    assert model.widest(pair.narrow.run) == pair.narrow.run


def test_the_first_estimate_of_a_models_time_is_that_of_its_profile(pair: Pair) -> None:
    work = Work(pair.model, pair.narrow.run, lambda: pytest.fail(), lambda _: None, "")
    times = ServiceTimes()
    unknown = times.expected(work)

    pair.model.use_profile(Profile("now", (MeasuredWay(Way(1, 1, 1), 0.25),)))
    assert (unknown, times.expected(work)) == (0.01, 0.25)

    times.record(work, 0.1, 0.1)
    assert times.expected(work) == 0.1
