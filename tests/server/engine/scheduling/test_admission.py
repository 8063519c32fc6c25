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
from spyglass_server.engine.scheduling.job import Job, path_of

MakeJob = Callable[..., Job]


def of(name: str, left: float | None = None, *, patient: bool = False) -> Call:
    """Return a call of an address with one connection, which has `left` seconds."""
    deadline = None if left is None else time.monotonic() + left
    return Call(deadline, caller=Caller(name, f"{name}:1"), patient=patient)


def admission_of(
    queue: FairQueue | None = None, *, requests: int = 1000, queue_seconds: float = math.inf, workers: int = 1
) -> Admission:
    return Admission(Bounds(requests, queue_seconds), FairQueue() if queue is None else queue, workers)


def queue_of(make_job: MakeJob, count: int, call: Call, seconds: float) -> FairQueue:
    queue = FairQueue()
    for _ in range(count):
        queue.push(make_job(call, seconds))
    return queue


def admit(admission: Admission, job: Job, idle: int = 0) -> None:
    admission.check(job.call, job.path, job.seconds, idle)


def refusal(admission: Admission, job: Job, idle: int = 0) -> Overloaded:
    with pytest.raises(Overloaded) as refused:
        admit(admission, job, idle)
    assert refused.value.retry_after is not None
    assert 0.05 <= refused.value.retry_after <= 5
    return refused.value


def test_as_many_requests_are_inside_as_there_are_places(make_job: MakeJob) -> None:
    admission = admission_of(requests=2)
    inside = [make_job(), make_job()]
    for job in inside:
        admit(admission, job)
        admission.enter(job)
    assert admission.inside == 2

    refused = refusal(admission, make_job(), idle=5)
    assert refused.reason == "QUEUE_FULL"
    assert "2 requests" in str(refused)

    admission.leave(inside[0])
    admit(admission, make_job())


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
        admit(admission, job)
        admission.enter(job)

    refused = refusal(admission, make_job(of("greedy")), idle=5)
    assert refused.reason == "QUEUE_FULL"
    assert "6 requests of this connection" in str(refused)
    assert "2 places for others" in str(refused)

    admit(admission, make_job(of("other")))
    admission.leave(job)
    admit(admission, make_job(of("greedy")))


def test_several_greedy_connections_leave_places_to_others(make_job: MakeJob) -> None:
    admission = admission_of(requests=140)
    held = dict.fromkeys(["a", "b", "c"], 0)
    for name in [*held] * 140:
        job = make_job(of(name))
        try:
            admit(admission, job)
        except Overloaded:
            continue
        admission.enter(job)
        held[name] += 1

    # Each holds three times the places that are free.
    assert all(abs(count - 42) <= 1 for count in held.values())
    admit(admission, make_job(of("other")))


def test_a_connection_with_nearly_all_of_its_calls_in_work_gets_refusals_for_impatient_calls(
    make_job: MakeJob,
) -> None:
    admission = Admission(Bounds(1000, queue_seconds=10, calls_per_connection=8), FairQueue(), 1)
    for _ in range(6):
        job = make_job(of("greedy"))
        admit(admission, job)
        admission.enter(job)

    refused = refusal(admission, make_job(of("greedy", left=5)))
    assert refused.reason == "QUEUE_FULL"
    assert "6 requests of this connection" in str(refused)
    for call in (
        of("greedy", left=60),
        of("greedy"),
        of("other", left=5),
        of("greedy", left=5, patient=True),
    ):
        admit(admission, make_job(call))
    admission.leave(job)
    admit(admission, make_job(of("greedy", left=5)))


def test_images_of_streams_take_no_places(make_job: MakeJob) -> None:
    admission = admission_of(requests=4)
    images = [make_job(of("a", patient=True)) for _ in range(100)]
    for job in images:
        admit(admission, job)
        admission.enter(job)

    assert admission.inside == 100
    admit(admission, make_job(of("a")))
    for job in images:
        admission.leave(job)
    assert admission.inside == 0


def test_a_single_place_is_for_whoever_comes_first(make_job: MakeJob) -> None:
    admission = admission_of(requests=1)
    admit(admission, make_job(of("a")))


def test_calls_in_the_same_process_may_take_every_place(make_job: MakeJob) -> None:
    admission = admission_of(requests=8)
    for _ in range(8):
        job = make_job()
        admit(admission, job)
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
    admission = admission_of(queue_of(make_job, 100, of("a"), 1.0), requests=1, queue_seconds=1)
    admission.enter(make_job(of("a")))

    refusal(admission, make_job(of("a")))
    admit(admission, make_job(of("a", patient=True)))


@pytest.mark.parametrize(("waiting", "admitted"), [(0, True), (4, True), (5, False), (100, False)])
def test_the_queue_is_bounded_in_seconds_of_work_for_each_worker(
    make_job: MakeJob, waiting: int, admitted: bool
) -> None:
    admission = admission_of(queue_of(make_job, waiting, of("a"), 0.5), queue_seconds=1, workers=2)
    job = make_job(of("a"), 0.5)

    if admitted:
        admit(admission, job)
    else:
        refused = refusal(admission, job)
        assert refused.reason == "QUEUE_FULL"
        assert refused.retry_after == pytest.approx(min(waiting * 0.5 / 2, 5), abs=0.051)


def test_the_work_that_runs_counts_half(make_job: MakeJob) -> None:
    admission = admission_of(queue_seconds=1, workers=2)
    admission.running_seconds = 3.9
    admit(admission, make_job(of("a")))

    admission.running_seconds = 4.1
    refusal(admission, make_job(of("a")))


def test_a_call_whose_turn_comes_late_for_its_deadline_is_refused(make_job: MakeJob) -> None:
    queue = queue_of(make_job, 10, of("a"), 0.1)

    refused = refusal(admission_of(queue), make_job(of("a", left=0.9), 0.1))
    assert refused.reason == "DEADLINE_TOO_SHORT"
    assert refused.retry_after is not None and 0.1 < refused.retry_after < 1.5

    # It may wait for half of the time that it has.
    refusal(admission_of(queue), make_job(of("a", left=1.9), 0.1))
    admit(admission_of(queue), make_job(of("a", left=2.5), 0.1))
    admit(admission_of(queue, workers=4), make_job(of("a", left=0.9), 0.1))


def test_a_patient_call_whose_turn_comes_late_for_its_deadline_is_refused_too(make_job: MakeJob) -> None:
    admission = admission_of(queue_of(make_job, 10, of("a"), 0.1))

    refused = refusal(admission, make_job(of("a", left=0.5, patient=True), 0.1))
    assert refused.reason == "DEADLINE_TOO_SHORT"


def test_a_call_that_has_less_time_left_than_its_work_takes_is_refused(make_job: MakeJob) -> None:
    assert refusal(admission_of(), make_job(of("a", left=0.5), 0.6)).reason == "DEADLINE_TOO_SHORT"


def test_a_free_worker_takes_a_job_whatever_the_estimate_says(make_job: MakeJob) -> None:
    queue, hopeless = queue_of(make_job, 1, of("a"), 0.001), make_job(of("a", left=0.5), 100.0)

    admit(admission_of(queue_seconds=0), hopeless, idle=1)
    admit(admission_of(queue, queue_seconds=0), hopeless, idle=2)
    # The job that waits is for the only free worker.
    refusal(admission_of(queue), hopeless, idle=1)


def test_a_light_caller_is_admitted_beside_a_flood_and_the_flood_is_refused(make_job: MakeJob) -> None:
    queue = queue_of(make_job, 1000, of("flood"), 0.1)
    admission = admission_of(queue, queue_seconds=2)

    assert refusal(admission, make_job(of("flood"), 0.1)).retry_after == 5
    admit(admission, make_job(of("light", left=0.8), 0.1))
    # As long as it stays light.
    for _ in range(20):
        queue.push(make_job(of("light"), 0.1))
    assert refusal(admission, make_job(of("light"), 0.1)).reason == "QUEUE_FULL"


def test_many_light_callers_wait_for_each_other(make_job: MakeJob) -> None:
    queue = FairQueue()
    for number in range(50):
        queue.push(make_job(of(f"caller-{number}"), 0.1))

    refusal(admission_of(queue), make_job(of("one more", left=4), 0.1))
    admit(admission_of(queue), make_job(of("one more", left=12), 0.1))


def test_a_bulk_call_expects_its_part_of_the_time(make_job: MakeJob) -> None:
    admission = admission_of(queue_of(make_job, 1000, of("a"), 0.1))
    bulk = Call(time.monotonic() + 0.9, caller=Caller("a", "a:1"), bulk=True)

    refusal(admission, make_job(bulk, 0.1))
    bulk.deadline = time.monotonic() + 3
    admit(admission, make_job(bulk, 0.1))


@pytest.mark.parametrize(("waits", "retry"), [(0.001, 0.05), (0.5, 0.5), (1000, 5)])
def test_the_time_to_retry_after_is_the_time_that_the_work_takes_within_bounds(
    make_job: MakeJob, waits: float, retry: float
) -> None:
    admission = admission_of(queue_of(make_job, 1, of("a"), waits), requests=1)
    admission.enter(make_job())

    found = refusal(admission, make_job(of("a"), 0.1)).retry_after
    assert found == pytest.approx(retry, abs=0.051 if retry == 0.5 else 0)


def test_a_call_whose_model_is_not_known_yet_is_refused_like_its_jobs(make_job: MakeJob) -> None:
    admission = admission_of(queue_of(make_job, 100, of("a"), 0.1), queue_seconds=2)

    with pytest.raises(Overloaded):
        admission.check(of("a"), path_of(of("a")), 0.1, 0)
    admission.check(of("light"), path_of(of("light")), 0.1, 0)


def test_work_that_takes_longer_than_expected_makes_the_wait_longer(make_job: MakeJob) -> None:
    admission = admission_of(queue_of(make_job, 6, of("a"), 0.1), queue_seconds=1)
    admit(admission, make_job(of("a"), 0.1))
    for _ in range(100):
        admission.learn(expected=0.1, taken=0.2)
    refusal(admission, make_job(of("a"), 0.1))

    for _ in range(100):
        admission.learn(expected=0.1, taken=0.1)
    admission.learn(expected=0.0, taken=0.1)
    admit(admission, make_job(of("a"), 0.1))


def test_one_run_that_took_very_long_does_not_close_the_server(make_job: MakeJob) -> None:
    admission = admission_of(queue_of(make_job, 5, of("a"), 0.01))
    admission.learn(expected=0.01, taken=60.0)

    admit(admission, make_job(of("a", left=2.0), 0.01))


def test_a_server_is_crowded_when_work_waits_or_half_of_its_places_are_taken(make_job: MakeJob) -> None:
    busy = admission_of(requests=10)
    for _ in range(5):
        busy.enter(make_job())
    assert not busy.is_crowded
    busy.enter(make_job())

    assert busy.is_crowded
    assert not admission_of().is_crowded
    assert not admission_of(queue_of(make_job, 3, of("a"), 0.01), workers=2).is_crowded
    assert admission_of(queue_of(make_job, 5, of("a"), 0.01), workers=2).is_crowded
