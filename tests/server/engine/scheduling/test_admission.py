"""Admission: who may wait, by places, by seconds of work, and by the time that a call has left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from spyglass_contract.errors import Overloaded
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.admission import Admission, Bounds
from spyglass_server.engine.scheduling.fair_queue import FairQueue
from spyglass_server.engine.scheduling.job import Job

MakeJob = Callable[..., Job]


def of(name: str, left: float | None = None, *, patient: bool = False) -> Call:
    """Return a call of an address with one connection, which has `left` seconds."""
    deadline = None if left is None else time.monotonic() + left
    return Call(deadline, caller=Caller(name, f"{name}:1"), patient=patient)


def admission_of(requests: int = 1000, queue_seconds: float = math.inf, workers: int = 1) -> Admission:
    return Admission(Bounds(requests, queue_seconds), workers)


def queue_of(make_job: MakeJob, count: int, call: Call, seconds: float) -> FairQueue:
    queue = FairQueue()
    for _ in range(count):
        queue.push(make_job(call, seconds))
    return queue


def refusal(admission: Admission, job: Job, queue: FairQueue | None = None, idle: int = 0) -> Overloaded:
    with pytest.raises(Overloaded) as refused:
        admission.check(job, queue or FairQueue(), idle)
    assert refused.value.retry_after is not None
    assert 0.05 <= refused.value.retry_after <= 5
    return refused.value


def test_as_many_requests_are_inside_as_there_are_places(make_job: MakeJob) -> None:
    admission, queue = admission_of(requests=2), FairQueue()
    inside = [make_job(), make_job()]
    for job in inside:
        admission.check(job, queue, 0)
        admission.enter(job)
    assert admission.inside == 2

    refused = refusal(admission, make_job(), idle=5)
    assert refused.reason == "QUEUE_FULL"
    assert "2 requests" in str(refused)

    admission.leave(inside[0])
    admission.check(make_job(), queue, 0)


def test_a_request_leaves_its_place_once(make_job: MakeJob) -> None:
    admission, first, second, never = admission_of(), make_job(of("a")), make_job(of("a")), make_job(of("a"))
    admission.enter(first), admission.enter(second)

    for job in (never, first, first):
        admission.leave(job)

    assert admission.inside == 1
    admission.leave(second)
    assert admission.inside == 0


def test_a_connection_gets_three_quarters_of_the_places(make_job: MakeJob) -> None:
    admission = admission_of(requests=8)
    for _ in range(6):
        job = make_job(of("greedy"))
        admission.check(job, FairQueue(), 0)
        admission.enter(job)

    refused = refusal(admission, make_job(of("greedy")), idle=5)
    assert refused.reason == "QUEUE_FULL"
    assert "6 requests of this connection" in str(refused)

    admission.check(make_job(of("other")), FairQueue(), 0)
    admission.leave(job)
    admission.check(make_job(of("greedy")), FairQueue(), 0)


def test_a_single_place_is_for_whoever_comes_first(make_job: MakeJob) -> None:
    admission = admission_of(requests=1)
    admission.check(make_job(of("a")), FairQueue(), 0)


def test_calls_in_the_same_process_may_take_every_place(make_job: MakeJob) -> None:
    admission = admission_of(requests=8)
    for _ in range(8):
        job = make_job()
        admission.check(job, FairQueue(), 0)
        admission.enter(job)
    refusal(admission, make_job())


def test_connections_that_have_left_are_forgotten(make_job: MakeJob) -> None:
    admission = admission_of()
    for number in range(1000):
        job = make_job(of(f"caller-{number}"))
        admission.enter(job)
        admission.leave(job)

    assert not admission._by_connection


def test_a_patient_call_waits_when_others_are_refused(make_job: MakeJob) -> None:
    admission = admission_of(requests=1, queue_seconds=1)
    admission.enter(make_job(of("a")))
    queue = queue_of(make_job, 100, of("a"), 1.0)

    refusal(admission, make_job(of("a")), queue)
    admission.check(make_job(of("a", patient=True)), queue, 0)


@pytest.mark.parametrize(("waiting", "admitted"), [(0, True), (4, True), (5, False), (100, False)])
def test_the_queue_is_bounded_in_seconds_of_work_for_each_worker(
    make_job: MakeJob, waiting: int, admitted: bool
) -> None:
    admission = admission_of(queue_seconds=1, workers=2)
    queue, job = queue_of(make_job, waiting, of("a"), 0.5), make_job(of("a"), 0.5)

    if admitted:
        admission.check(job, queue, 0)
    else:
        refused = refusal(admission, job, queue)
        assert refused.reason == "QUEUE_FULL"
        assert refused.retry_after == pytest.approx(min(waiting * 0.5 / 2, 5), rel=0.01)


def test_the_work_that_runs_counts_half(make_job: MakeJob) -> None:
    admission = admission_of(queue_seconds=1, workers=2)
    admission.running_seconds = 3.9
    admission.check(make_job(of("a")), FairQueue(), 0)

    admission.running_seconds = 4.1
    refusal(admission, make_job(of("a")))


def test_a_call_whose_turn_comes_after_its_deadline_is_refused(make_job: MakeJob) -> None:
    queue = queue_of(make_job, 10, of("a"), 0.1)

    refused = refusal(admission_of(), make_job(of("a", left=0.9), 0.1), queue)
    assert refused.reason == "DEADLINE_TOO_SHORT"
    assert refused.retry_after == pytest.approx(1.0 + 0.1 - 0.9, abs=0.02)

    admission_of().check(make_job(of("a", left=1.5), 0.1), queue, 0)
    admission_of(workers=4).check(make_job(of("a", left=0.9), 0.1), queue, 0)


def test_a_patient_call_whose_turn_comes_after_its_deadline_is_refused_too(make_job: MakeJob) -> None:
    queue = queue_of(make_job, 10, of("a"), 0.1)
    job = make_job(of("a", left=0.5, patient=True), 0.1)

    assert refusal(admission_of(), job, queue).reason == "DEADLINE_TOO_SHORT"


def test_a_call_that_has_less_time_left_than_its_work_takes_is_refused(make_job: MakeJob) -> None:
    refused = refusal(admission_of(), make_job(of("a", left=0.5), 0.6))

    assert refused.reason == "DEADLINE_TOO_SHORT"


def test_a_free_worker_takes_a_job_whatever_the_estimate_says(make_job: MakeJob) -> None:
    queue, hopeless = queue_of(make_job, 1, of("a"), 0.001), make_job(of("a", left=0.5), 100.0)

    admission_of(queue_seconds=0).check(hopeless, FairQueue(), 1)
    admission_of(queue_seconds=0).check(hopeless, queue, 2)
    # The job that waits is for the only free worker.
    refusal(admission_of(), hopeless, queue, idle=1)


def test_a_light_caller_is_admitted_beside_a_flood_and_the_flood_is_refused(make_job: MakeJob) -> None:
    admission, queue = admission_of(queue_seconds=2), queue_of(make_job, 1000, of("flood"), 0.1)

    refused = refusal(admission, make_job(of("flood"), 0.1), queue)
    assert refused.retry_after == 5

    admission.check(make_job(of("light", left=0.4), 0.1), queue, 0)
    # As long as it stays light.
    for _ in range(20):
        queue.push(make_job(of("light"), 0.1))
    assert refusal(admission, make_job(of("light"), 0.1), queue).reason == "QUEUE_FULL"


def test_many_light_callers_wait_for_each_other(make_job: MakeJob) -> None:
    queue = FairQueue()
    for number in range(50):
        queue.push(make_job(of(f"caller-{number}"), 0.1))

    refusal(admission_of(), make_job(of("one more", left=4), 0.1), queue)
    admission_of().check(make_job(of("one more", left=7), 0.1), queue, 0)


def test_a_bulk_call_expects_its_tenth_of_the_time(make_job: MakeJob) -> None:
    queue = queue_of(make_job, 1000, of("a"), 0.1)
    bulk = Call(time.monotonic() + 0.9, caller=Caller("a", "a:1"), bulk=True)

    refusal(admission_of(), make_job(bulk, 0.1), queue)
    bulk.deadline = time.monotonic() + 1.5
    admission_of().check(make_job(bulk, 0.1), queue, 0)


@pytest.mark.parametrize(("waits", "retry"), [(0.001, 0.05), (0.5, 0.5), (1000, 5)])
def test_the_time_to_retry_after_is_the_time_that_the_work_takes_within_bounds(
    make_job: MakeJob, waits: float, retry: float
) -> None:
    admission, queue = admission_of(requests=1), queue_of(make_job, 1, of("a"), waits)
    admission.enter(make_job())

    assert refusal(admission, make_job(of("a"), 0.1), queue).retry_after == pytest.approx(retry)
