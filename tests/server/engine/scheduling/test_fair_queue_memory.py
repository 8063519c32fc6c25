"""The memory and the time that a fair queue takes, however many callers have come and gone."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

import pytest

from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.fair_queue import FairQueue
from spyglass_server.engine.scheduling.job import Job

MakeJob = Callable[..., Job]


def objects_in(queue: FairQueue) -> int:
    """Return the number of objects that a queue holds, without those of its jobs."""
    seen: set[int] = set()
    found = [vars(queue)]
    while found:
        one = found.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType | Job):
            seen.add(id(one))
            found += gc.get_referents(one)
    return len(seen)


def caller(number: int, *, addresses: int) -> Call:
    return Call(caller=Caller(f"address-{number % addresses}", f"connection-{number}"), bulk=number % 7 == 0)


@pytest.mark.parametrize("callers", [3000, pytest.param(30_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("addresses", [1, 100_000], ids=["one address", "many addresses"])
def test_callers_who_come_once_leave_nothing_behind_while_another_waits(
    make_job: MakeJob, addresses: int, callers: int
) -> None:
    queue, job = FairQueue(), make_job()
    for number in range(30):
        queue.push(make_job(caller(number, addresses=addresses), 1.0))
    few = objects_in(queue)
    for number in range(30, callers):
        job.path = (job.path[0], (f"{number % addresses}", 1.0), (f"{number}", 1.0), job.path[3])
        queue.push(job)
        # The queue is never empty, and each of these jobs ends before the next one comes.
        while queue.pop() is not job:
            queue.push(make_job(caller(number, addresses=addresses), 1.0))

    assert objects_in(queue) < 3 * few + 500


@pytest.mark.parametrize("callers", [5000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_callers_who_are_served_in_turn_leave_nothing_behind(make_job: MakeJob, callers: int) -> None:
    queue, waiting, number = FairQueue(), 200, 0
    jobs = [make_job() for _ in range(waiting)]
    levels = jobs[0].path

    def come(job: Job) -> None:
        nonlocal number
        number += 1
        job.path = (levels[0], (number, 1.0), (number, 1.0), levels[3])
        queue.push(job)

    for job in jobs:
        come(job)
    few = objects_in(queue)
    for _ in range(callers):
        come(queue.pop())

    assert len(queue) == waiting
    assert objects_in(queue) < 3 * few + 500


def test_jobs_that_are_cancelled_in_the_queue_leave_nothing_behind(make_job: MakeJob) -> None:
    queue = FairQueue()
    # A caller who has had more than its part, and one who waits: the virtual time stands still.
    owing, other = (Call(caller=Caller(name, name)) for name in ("owing", "other"))
    queue.push(make_job(owing, 1000.0)), queue.push(make_job(other)), queue.push(make_job(other))
    queue.pop()
    few, job, waiting = objects_in(queue), make_job(owing), make_job(other)
    for _ in range(5000):
        queue.push(job), queue.push(waiting)
        queue.forget(job), queue.forget(waiting)

    assert objects_in(queue) < 3 * few + 500


def test_jobs_that_are_cancelled_behind_others_leave_nothing_behind(make_job: MakeJob) -> None:
    queue, call = FairQueue(), Call(caller=Caller("address", "connection"))
    queue.push(make_job(call))
    few = objects_in(queue)
    held: list[Job] = []
    for _ in range(2000):
        queue.push(make_job(call))
        held.append(make_job(call))
        queue.push(held[-1])
        queue.forget(held.pop())
        queue.pop()
    leaf_jobs = [one for one in gc.get_objects() if isinstance(one, Job) and not one.waiting]

    assert len(queue) == 1
    assert len(leaf_jobs) < 200
    assert objects_in(queue) < 3 * few + 500


def test_an_empty_queue_holds_nothing_of_its_callers(make_job: MakeJob) -> None:
    queue = FairQueue()
    few = objects_in(queue)
    for number in range(600):
        queue.push(make_job(caller(number, addresses=30), 1.0 + number % 5))
    while len(queue):
        queue.pop()

    assert objects_in(queue) < few + 500
    assert queue.seconds == pytest.approx(0, abs=1e-6)


def test_an_operation_takes_about_as_many_steps_for_many_callers_as_for_few(make_job: MakeJob) -> None:
    def steps(callers: int) -> int:
        """Return the calls of functions in 200 turns beside this many callers who wait."""
        queue, job, calls = FairQueue(), make_job(), 0
        for number in range(callers):
            queue.push(make_job(caller(number, addresses=callers), 1.0))

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(count)
        for number in range(200):
            job.path = (job.path[0], (number, 1.0), (number, 1.0), job.path[3])
            queue.push(job)
            queue.forget(job)
            queue.head()
            queue.push(queue.pop())
        sys.setprofile(before)
        return calls

    assert steps(1000) < 2 * steps(20)
