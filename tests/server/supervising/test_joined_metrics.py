"""The metrics of all workers, read over their private sockets."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from spyglass_server.supervising import joined_metrics
from spyglass_server.supervising.control import ControlServer
from spyglass_server.supervising.crew import Crew
from spyglass_server.supervising.families import Family, families_of, to_bytes
from spyglass_server.supervising.joined_metrics import JoinedMetrics
from spyglass_server.supervising.task import worker_socket


class FakeCrew:
    """The workers that serve."""

    def __init__(self) -> None:
        self.serving: tuple[int, ...] = ()
        self.replaced = 0


class FakeWorker:
    """A worker with one count, and the time for which it has been stalled."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.count = 0
        self.stalled = 0.0
        self.pause = 0.0
        self._server = ControlServer(worker_socket(folder, number), {"Metrics": self._metrics})

    def _metrics(self, request: bytes) -> bytes:
        time.sleep(self.pause)
        return to_bytes(
            [
                Family("spyglass_requests", "counter", "", {("spyglass_requests_total", ()): self.count}),
                Family(
                    "spyglass_stalled_seconds", "gauge", "", {("spyglass_stalled_seconds", ()): self.stalled}
                ),
                Family("spyglass_serving", "gauge", "", {("spyglass_serving", ()): 1}),
                Family("process_start_time_seconds", "gauge", "", {("process_start_time_seconds", ()): 1}),
            ]
        )

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def crew() -> FakeCrew:
    return FakeCrew()


@pytest.fixture
def workers(tmp_path: Path, crew: FakeCrew) -> Iterator[list[FakeWorker]]:
    made = [FakeWorker(tmp_path, number) for number in (1, 2)]
    crew.serving = (1, 2)
    yield made
    for worker in made:
        worker.stop()


@pytest.fixture
def joined(tmp_path: Path, crew: FakeCrew) -> Iterator[JoinedMetrics]:
    made = JoinedMetrics(cast(Crew, crew), 2, tmp_path)
    yield made
    for number in (1, 2):
        made.forget(number)


def value(joined: JoinedMetrics, name: str) -> float:
    found = [
        number
        for family in families_of(joined)
        for (sample, _), number in family.samples.items()
        if sample == name
    ]
    return sum(found)


def test_without_workers_the_server_does_not_serve(joined: JoinedMetrics) -> None:
    assert value(joined, "spyglass_serving") == value(joined, "spyglass_workers_serving") == 0
    assert value(joined, "spyglass_workers") == 2
    assert joined.stalled() == ""


def test_each_reading_is_new(joined: JoinedMetrics, workers: list[FakeWorker]) -> None:
    for count in (1, 5):
        workers[0].count = count
        assert value(joined, "spyglass_requests_total") == count
    assert value(joined, "spyglass_serving") == 1
    assert value(joined, "spyglass_workers_serving") == 2


def test_the_start_is_that_of_the_supervisor(joined: JoinedMetrics, workers: list[FakeWorker]) -> None:
    assert abs(value(joined, "process_start_time_seconds") - time.time()) < 3600


def test_counts_never_fall(
    joined: JoinedMetrics, workers: list[FakeWorker], crew: Any, tmp_path: Path
) -> None:
    workers[0].count, workers[1].count = 10, 1
    assert value(joined, "spyglass_requests_total") == 11

    workers[0].stop()
    assert value(joined, "spyglass_requests_total") == 11
    crew.serving = (2,)
    joined.forget(1)
    assert value(joined, "spyglass_requests_total") == 11
    workers[0] = FakeWorker(tmp_path, 1)
    workers[0].count = 4
    crew.serving = (1, 2)

    assert value(joined, "spyglass_requests_total") == 15


def test_a_worker_that_responds_too_late_keeps_its_last_counts(
    joined: JoinedMetrics, workers: list[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined_metrics, "_PATIENCE_SECONDS", 0.05)
    workers[0].count = workers[1].count = 3
    assert value(joined, "spyglass_requests_total") == 6
    workers[0].pause, workers[0].count, workers[1].count = 0.3, 5, 5

    assert value(joined, "spyglass_requests_total") == 8


def test_a_stalled_worker_is_named(joined: JoinedMetrics, workers: list[FakeWorker]) -> None:
    value(joined, "spyglass_serving")
    assert joined.stalled() == ""
    workers[1].stalled = 31.4

    value(joined, "spyglass_serving")

    assert joined.stalled() == "worker 2: no request has begun or ended for 31 s"


def test_a_worker_that_does_not_respond_is_named(
    joined: JoinedMetrics, workers: list[FakeWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    value(joined, "spyglass_serving")
    workers[0].stop()
    monkeypatch.setattr(joined_metrics, "STALL_SECONDS", 0.0)

    value(joined, "spyglass_serving")

    assert joined.stalled().startswith("worker 1 has not responded for 0 s")
