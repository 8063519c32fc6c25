"""Calls that are cancelled or late, before, while and after their images run; and networks that never end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from threading import Event, Semaphore
from typing import Any

import pytest

from spyglass_contract.errors import Cancelled, DeadlineExceeded, Overloaded
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.workers import Workers
from works import put

PATIENCE = 30
MakeWork = Callable[..., Any]
MakeWorkers = Callable[..., Workers]
Occupy = Callable[[Workers], list[Any]]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize("expired", [Call(0.0), Call()], ids=["late", "cancelled"])
def test_a_call_that_is_over_is_not_queued(make_workers: MakeWorkers, work: MakeWork, expired: Call) -> None:
    workers, done = make_workers(), []
    if expired.deadline is None:
        expired.cancel()

    with pytest.raises((DeadlineExceeded, Cancelled)):
        workers.submit(work(), expired, lambda response, error: done.append(error))

    assert workers.inside == 0
    assert done == []


def test_a_cancelled_image_leaves_the_queue_at_once_and_never_runs(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy
) -> None:
    model.max_batch = 4
    workers = make_workers(requests=4)
    occupy(workers)
    call = Call()
    first, second, third = put(workers, work(1)), put(workers, work(2), call), put(workers, work(3))
    call.cancel()

    with pytest.raises(Cancelled):
        second.result(0)
    assert workers.inside == 3
    fourth = put(workers, work(4))
    run.gate.set()
    assert [each.result(PATIENCE).output for each in (first, third, fourth)] == [2, 6, 8]
    assert run.batches == [[1, 3, 4]]


def test_an_image_whose_deadline_passes_in_the_queue_ends_then_and_never_runs(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers = make_workers()
    (running,) = occupy(workers)
    started = time.monotonic()
    late, later = put(workers, work(1), Call(started + 0.05)), put(workers, work(2))

    with pytest.raises(DeadlineExceeded):
        late.result(PATIENCE)
    assert 0.05 <= time.monotonic() - started < 1
    assert workers.inside == 2
    run.gate.set()
    running.result(PATIENCE), later.result(PATIENCE)
    assert run.batches == [[2]]


def test_a_call_whose_deadline_passes_while_its_image_runs_ends_then(
    make_workers: MakeWorkers, work: MakeWork, run: Any
) -> None:
    workers = make_workers()
    run.gate.clear()
    started = time.monotonic()
    late = put(workers, work(1), Call(started + 0.05))

    with pytest.raises(DeadlineExceeded):
        late.result(PATIENCE)
    assert 0.05 <= time.monotonic() - started < 1
    assert workers.inside == 0


def test_a_call_that_is_cancelled_while_its_image_runs_ends_at_once(
    make_workers: MakeWorkers, work: MakeWork, run: Any
) -> None:
    workers, call = make_workers(), Call()
    run.gate.clear()
    running = put(workers, work(1), call)
    assert run.entered.acquire(timeout=PATIENCE)
    call.cancel()

    with pytest.raises(Cancelled):
        running.result(0)
    assert workers.inside == 0


def test_a_call_that_cannot_meet_its_deadline_is_refused_at_once(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers = make_workers()
    (first,) = occupy(workers)
    time.sleep(0.05)
    run.gate.set()
    first.result(PATIENCE)
    occupy(workers)
    started = time.monotonic()

    with pytest.raises(Overloaded) as refused:
        put(workers, work(), Call(started + 0.03))

    assert time.monotonic() - started < 0.03
    assert refused.value.reason == "DEADLINE_TOO_SHORT"
    assert refused.value.retry_after is not None and refused.value.retry_after >= 0.05
    assert workers.inside == 1
    put(workers, work(), Call(time.monotonic() + PATIENCE))


def test_a_free_worker_takes_an_image_even_if_the_last_one_was_slow(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy, eventually: Eventually
) -> None:
    workers = make_workers()
    (first,) = occupy(workers)
    time.sleep(0.05)
    run.gate.set()
    first.result(PATIENCE)
    eventually(lambda: len(workers._idle) == 1)

    assert put(workers, work(1), Call(time.monotonic() + 0.04)).result(PATIENCE).output == 2


def test_an_image_that_has_waited_too_long_to_be_done_in_time_is_refused_and_never_runs(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    def slow(pixels: Any) -> Any:
        time.sleep(0.3)
        return run(pixels)

    workers, call = make_workers(), Call(time.monotonic() + PATIENCE)
    put(workers, work(run=slow)).result(PATIENCE)
    occupy(workers)
    hopeless = put(workers, work(1, run=slow), call)
    time.sleep(0.01)
    call.deadline = time.monotonic() + 0.2
    run.gate.set()

    with pytest.raises(Overloaded) as refused:
        hopeless.result(PATIENCE)
    assert refused.value.reason == "DEADLINE_TOO_SHORT"
    assert refused.value.retry_after is not None and refused.value.retry_after >= 0.1
    assert put(workers, work(2)).result(PATIENCE).output == 4
    assert run.batches == [[2]]
    assert workers.inside == 0


class StuckRun:
    """A run that ends only when the test lets it."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.entered = Semaphore(0)

    def __call__(self, pixels: Any) -> Any:
        self.entered.release()
        assert self.go_on.wait(PATIENCE)
        return [0.0] * len(pixels)


def lose(workers: Workers, work: MakeWork, stuck: StuckRun) -> None:
    """Cancel a call whose image runs."""
    call = Call()
    ended = put(workers, work(run=stuck), call)
    assert stuck.entered.acquire(timeout=PATIENCE)
    call.cancel()
    with pytest.raises(Cancelled):
        ended.result(0)


def test_another_thread_takes_the_turn_of_one_whose_callers_have_gone(
    make_workers: MakeWorkers, work: MakeWork, eventually: Eventually
) -> None:
    workers, stuck = make_workers(), StuckRun()
    lose(workers, work, stuck)

    assert put(workers, work(1)).result(PATIENCE).output == 2
    assert workers.lost == 1
    stuck.go_on.set()
    eventually(lambda: workers.lost == 0)
    assert put(workers, work(2)).result(PATIENCE).output == 4


def test_a_thread_with_one_caller_left_keeps_its_turn(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy
) -> None:
    model.max_batch = 2
    workers, stuck = make_workers(), StuckRun()
    occupy(workers)
    call = Call()
    gone, stays = put(workers, work(1, run=stuck), call), put(workers, work(2, run=stuck))
    run.gate.set()
    assert stuck.entered.acquire(timeout=PATIENCE)
    call.cancel()
    other = put(workers, work(3))
    time.sleep(0.1)

    assert gone.done() and not other.done()
    assert workers.lost == 0
    stuck.go_on.set()
    assert stays.result(PATIENCE).output == 0
    assert other.result(PATIENCE).output == 6


@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_threads_whose_callers_have_gone_is_bounded(
    make_workers: MakeWorkers, work: MakeWork, eventually: Eventually, count: int
) -> None:
    workers, stuck = make_workers(count), StuckRun()
    before = threading.active_count()
    for _ in range(2 * count):
        lose(workers, work, stuck)
    waiting = put(workers, work(1))
    time.sleep(0.1)

    assert workers.lost == count
    assert threading.active_count() <= before + count
    assert not waiting.done()
    stuck.go_on.set()
    assert waiting.result(PATIENCE).output == 2
    eventually(lambda: workers.lost == 0)
    eventually(lambda: threading.active_count() <= before)
    assert workers.inside == 0
