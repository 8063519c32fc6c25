"""Light jobs: the thread that queues them runs them, if it leads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from threading import Event, get_ident
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_server.engine.scheduling import lead as leading
from spyglass_server.engine.scheduling import workers as working
from spyglass_server.engine.scheduling.workers import Workers
from works import put, work_of

PATIENCE = 30
# More than a kind of work needs to count as light.
RUNS = 60
Eventually = Callable[[Callable[[], bool]], None]
MakeWorkers = Callable[..., Workers]


class Traced:
    """Doubles the first pixel; records the thread of each run."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.gate = Event()
        self.gate.set()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.threads.append(get_ident())
        assert self.gate.wait(PATIENCE)
        return pixels[:, 0, 0, 0].astype(np.float32) * 2


@pytest.fixture
def traced() -> Traced:
    return Traced()


@pytest.fixture
def light(model: Any, traced: Traced) -> Callable[..., Any]:
    """A work that takes no time."""
    return lambda value=1: work_of(np.full((2, 2, 1), value, np.uint8), model, traced, cost_key="light")


def make_light(workers: Workers, light: Callable[..., Any]) -> None:
    """Run the work so often that it counts as light."""
    for _ in range(RUNS):
        put(workers, light()).result(PATIENCE)


def test_the_leader_runs_light_jobs_itself(
    make_workers: MakeWorkers,
    light: Callable[..., Any],
    traced: Traced,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(working, "_NEGLECTED_SECONDS", PATIENCE)
    workers = make_workers()
    make_light(workers, light)
    assert get_ident() not in traced.threads
    traced.threads.clear()
    workers.lead.begin(lambda: None)

    waiting = [put(workers, light(value)) for value in range(5)]

    assert not any(each.done() for each in waiting)
    while workers.lead.wanted:
        workers.lead.run()
    assert [each.result(0).output for each in waiting] == [0, 2, 4, 6, 8]
    assert set(traced.threads) == {get_ident()}
    assert workers.inside == 0


def test_without_a_leader_or_from_other_threads_workers_run_light_jobs(
    make_workers: MakeWorkers, light: Callable[..., Any], traced: Traced
) -> None:
    workers = make_workers()
    make_light(workers, light)
    leader = threading.Thread(target=workers.lead.begin, args=[lambda: None])
    leader.start()
    leader.join()
    traced.threads.clear()

    assert put(workers, light(3)).result(PATIENCE).output == 6
    assert get_ident() not in traced.threads


def test_jobs_that_are_not_known_to_be_light_go_to_workers(
    make_workers: MakeWorkers, light: Callable[..., Any], traced: Traced
) -> None:
    workers = make_workers()
    workers.lead.begin(lambda: None)

    assert put(workers, light(3)).result(PATIENCE).output == 6
    assert not workers.lead.wanted
    assert get_ident() not in traced.threads


def test_the_leader_leaves_heavy_jobs_and_what_waits_behind_them_to_workers(
    make_workers: MakeWorkers, light: Callable[..., Any], model: Any, run: Any, work: Any
) -> None:
    workers = make_workers()
    make_light(workers, light)
    run.gate.clear()
    heavy = [put(workers, work(1)), put(workers, work(2))]
    assert run.entered.acquire(timeout=PATIENCE)
    workers.lead.begin(lambda: None)
    behind = put(workers, light(4))

    workers.lead.run()

    assert not behind.done()
    run.gate.set()
    assert behind.result(PATIENCE).output == 8
    assert [each.result(PATIENCE).output for each in heavy] == [2, 4]


def test_a_leader_that_is_stuck_is_replaced_and_workers_take_over(
    make_workers: MakeWorkers,
    light: Callable[..., Any],
    traced: Traced,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leading, "_STUCK_SECONDS", 0.01)
    workers, replaced = make_workers(), Event()
    make_light(workers, light)
    traced.gate.clear()
    results: list[Any] = []

    def be_stuck() -> None:
        workers.lead.begin(replaced.set)
        results.append(put(workers, light(5)))
        workers.lead.run()
        results.append(workers.lead.is_mine)

    leader = threading.Thread(target=be_stuck)
    leader.start()
    assert replaced.wait(PATIENCE)
    traced.gate.set()
    leader.join(PATIENCE)

    assert results[0].result(PATIENCE).output == 10
    assert results[1] is False
    # For a while no thread leads: the model may be stuck again.
    workers.lead.begin(lambda: None)
    assert put(workers, light(6)).result(PATIENCE).output == 12
    assert not workers.lead.wanted


def test_a_run_that_takes_long_makes_a_kind_of_work_prove_itself_again(
    make_workers: MakeWorkers, light: Callable[..., Any], traced: Traced
) -> None:
    workers = make_workers()
    make_light(workers, light)
    work = light()
    assert workers._times.is_light(work)

    workers._times.record(work, 0.1, 0.0001)

    assert not workers._times.is_light(work)


def test_the_jobs_behind_a_stuck_one_go_to_workers(
    make_workers: MakeWorkers,
    light: Callable[..., Any],
    traced: Traced,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leading, "_STUCK_SECONDS", 0.01)
    workers, behind = make_workers(), Event()
    make_light(workers, light)
    stuck, others = Event(), []
    compute = traced.__call__

    def first_is_stuck(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if get_ident() == leader.ident:
            stuck.set()
            assert behind.wait(PATIENCE)
        return compute(pixels)

    def lead() -> None:
        workers.lead.begin(lambda: None)
        slow = work_of(np.full((2, 2, 1), 7, np.uint8), light().model, first_is_stuck, cost_key="light")
        others.extend([put(workers, slow), *(put(workers, light(value)) for value in range(5))])
        workers.lead.run()

    leader = threading.Thread(target=lead)
    leader.start()
    assert stuck.wait(PATIENCE)

    # No further job comes that would wake a worker.
    assert [each.result(PATIENCE / 3).output for each in others[1:]] == [0, 2, 4, 6, 8]
    assert not others[0].done()
    behind.set()
    leader.join(PATIENCE)
    assert others[0].result(PATIENCE).output == 14


def test_a_worker_runs_the_light_jobs_of_a_leader_that_has_no_time(
    make_workers: MakeWorkers, light: Callable[..., Any], traced: Traced
) -> None:
    workers = make_workers()
    make_light(workers, light)
    traced.threads.clear()
    workers.lead.begin(lambda: None)

    assert put(workers, light(3)).result(PATIENCE).output == 6
    assert get_ident() not in traced.threads
