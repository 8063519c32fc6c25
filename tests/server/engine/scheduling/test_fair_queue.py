"""The fair queue: its order against a slow model of it, and how it shares the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from slow_fair_queue import SlowFairQueue
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.fair_queue import FairQueue
from spyglass_server.engine.scheduling.job import Job

MakeJob = Callable[..., Job]


def of(address: str, connection: str = "", *, bulk: bool = False) -> Call:
    return Call(caller=Caller(address, connection or f"{address}:1"), bulk=bulk)


def fill(queue: FairQueue, make_job: MakeJob, count: int, call: Call, **changes: object) -> list[Job]:
    jobs = [make_job(call, **changes) for _ in range(count)]
    for job in jobs:
        queue.push(job)
    return jobs


def seconds_by_address(jobs: list[Job]) -> Counter[str]:
    counter: Counter[str] = Counter()
    for job in jobs:
        counter[job.call.caller.address] += job.seconds
    return counter


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_operations_gives_the_order_of_the_slow_model(
    make_job: MakeJob, model: Any, seed: int
) -> None:
    random, queue, slow, waiting = Random(seed), FairQueue(), SlowFairQueue(), []
    models = [model, type(model)()]
    for _ in range(120):
        what = random.random()
        if what < 0.5 + 0.1 * (seed % 3) or not waiting:
            call = of(random.choice("abc"), random.choice(["", "other"]), bulk=random.random() < 0.2)
            # Fractions of powers of two: sums in any order are equal.
            job = make_job(call, random.randrange(1, 64) / 64, model=random.choice(models))
            queue.push(job), slow.push(job), waiting.append(job)
        elif what < 0.85:
            assert queue.head() is slow.head()
            job = queue.pop()
            assert job is slow.pop() and not job.waiting
            waiting.remove(job)
        else:
            job = waiting.pop(random.randrange(len(waiting)))
            queue.forget(job), slow.forget(job)
        assert len(queue) == len(slow) == len(waiting)
        assert queue.seconds == pytest.approx(slow.seconds, abs=1e-9)
        assert all(job.waiting for job in waiting)
    while waiting:
        assert queue.head() is slow.head()
        waiting.remove(queue.pop())
        slow.pop()
    assert queue.head() is None


def test_an_empty_queue_has_no_head_and_nothing_to_pop(make_job: MakeJob) -> None:
    queue = FairQueue()
    assert (len(queue), queue.head(), queue.seconds) == (0, None, 0)
    with pytest.raises(IndexError):
        queue.pop()

    (job,) = fill(queue, make_job, 1, of("a"))
    queue.forget(job)

    assert (len(queue), queue.head(), queue.seconds) == (0, None, 0)
    with pytest.raises(IndexError):
        queue.pop()


def test_the_jobs_of_one_caller_and_model_stay_in_their_order(make_job: MakeJob) -> None:
    queue = FairQueue()
    jobs = fill(queue, make_job, 300, of("a"))
    for job in jobs[::3]:
        queue.forget(job)

    assert [queue.pop() for _ in range(len(queue))] == [job for n, job in enumerate(jobs) if n % 3]


def test_a_light_caller_waits_for_at_most_one_job_of_a_heavy_one(make_job: MakeJob) -> None:
    queue = FairQueue()
    fill(queue, make_job, 1000, of("heavy"))
    for _ in range(50):
        for _ in range(5):
            queue.pop()
        (light,) = fill(queue, make_job, 1, of("light"))
        assert light in (queue.pop(), queue.pop())


def test_callers_share_the_time_equally_whatever_their_jobs_cost(make_job: MakeJob) -> None:
    random, queue, longest = Random(5), FairQueue(), 4.0
    for address, cost in (("short", 0.25), ("middle", 1.0), ("long", longest)):
        fill(queue, make_job, int(400 / cost), of(address), seconds=cost)
    taken: Counter[str] = Counter()
    while sum(taken.values()) < 900:
        job = queue.pop()
        taken[job.call.caller.address] += job.seconds
        assert max(taken.values()) - min(taken[each] for each in ("short", "middle", "long")) <= 2 * longest
        if random.random() < 0.01:
            fill(queue, make_job, 1, of(job.call.caller.address), seconds=job.seconds)


def test_an_address_with_many_connections_gets_no_more_than_one_with_one(make_job: MakeJob) -> None:
    queue = FairQueue()
    for connection in range(20):
        fill(queue, make_job, 20, of("many", f"many:{connection}"))
    fill(queue, make_job, 100, of("one"))

    taken = [queue.pop() for _ in range(100)]

    assert abs(seconds_by_address(taken)["many"] - seconds_by_address(taken)["one"]) <= 1
    connections = Counter(job.call.caller.connection for job in taken if job.call.caller.address == "many")
    assert len(connections) == 20
    assert max(connections.values()) - min(connections.values()) <= 1


def test_a_slow_model_of_a_caller_does_not_take_the_time_of_its_fast_one(
    make_job: MakeJob, model: Any
) -> None:
    queue, fast, slow = FairQueue(), model, type(model)()
    fill(queue, make_job, 200, of("a"), model=slow, seconds=8.0)
    fill(queue, make_job, 200, of("a"), model=fast, seconds=0.5)

    taken = [queue.pop() for _ in range(110)]

    times = Counter(job.seconds for job in taken)
    assert abs(times[8.0] * 8 - times[0.5] * 0.5) <= 16


def test_bulk_jobs_get_an_eleventh_of_the_time_beside_others_and_all_of_it_alone(make_job: MakeJob) -> None:
    queue = FairQueue()
    fill(queue, make_job, 300, of("a", bulk=True))
    fill(queue, make_job, 300, of("a"))
    taken = [queue.pop() for _ in range(330)]

    bulk = sum(job.call.bulk for job in taken)
    assert 29 <= bulk <= 31
    assert all(queue.pop().call.bulk for _ in range(270))


def test_bulk_jobs_are_not_starved_by_callers_who_come_with_one_job_each(make_job: MakeJob) -> None:
    queue = FairQueue()
    (bulk,) = fill(queue, make_job, 1, of("a", bulk=True))
    fill(queue, make_job, 5, of("first"))
    taken = []
    for number in range(40):
        fill(queue, make_job, 1, of(f"caller-{number}"))
        taken.append(queue.pop())

    assert bulk in taken


@pytest.mark.parametrize("waiting", [1, 5, 50])
def test_a_caller_who_stays_is_not_starved_by_callers_who_come_once(make_job: MakeJob, waiting: int) -> None:
    queue = FairQueue()
    fill(queue, make_job, 1000, of("stays"))
    for number in range(waiting):
        fill(queue, make_job, 1, of(f"before-{number}"))
    taken = []
    # There is always a caller who has had nothing yet.
    for number in range(20 * (waiting + 1)):
        fill(queue, make_job, 1, of(f"new-{number}"))
        taken.append(queue.pop().call.caller.address)

    assert taken.count("stays") >= 4


def test_a_caller_who_returns_is_served_soon_but_has_saved_nothing_up(make_job: MakeJob) -> None:
    queue = FairQueue()
    fill(queue, make_job, 10, of("returns"))
    fill(queue, make_job, 500, of("stays"))
    while "returns" in {queue.pop().call.caller.address for _ in range(2)}:
        pass
    for _ in range(100):
        queue.pop()

    fill(queue, make_job, 100, of("returns"))
    taken = [queue.pop().call.caller.address for _ in range(60)]

    assert "returns" in taken[:2]
    for length in range(1, 60):
        assert abs(2 * taken[:length].count("returns") - length) <= 2


def test_a_caller_who_sends_one_job_after_the_other_owes_what_it_has_had(make_job: MakeJob) -> None:
    queue = FairQueue()
    fill(queue, make_job, 2000, of("stays"), seconds=1.0)
    taken: Counter[str] = Counter()
    # Long jobs, one at a time: its flow is empty after each of them.
    fill(queue, make_job, 1, of("long"), seconds=16.0)
    while sum(taken.values()) < 1000:
        job = queue.pop()
        taken[job.call.caller.address] += job.seconds
        if job.call.caller.address == "long":
            fill(queue, make_job, 1, of("long"), seconds=16.0)

    assert taken["stays"] >= 450


def test_the_seconds_until_a_job_ends_are_as_estimated(make_job: MakeJob) -> None:
    for seed in range(20):
        random, queue = Random(seed), FairQueue()
        for _ in range(60):
            fill(queue, make_job, 1, of(random.choice("abcd")), seconds=random.randrange(1, 8) / 4)
        job = make_job(of(random.choice("abcdef")), 1.0)
        estimated = queue.finish_seconds(job.path, job.seconds)
        queue.push(job)
        ended = 0.0
        while (taken := queue.pop()) is not job:
            ended += taken.seconds
        ended += job.seconds

        assert job.seconds <= estimated <= 60 * 2 + 1
        # Each of the other three callers may be one job ahead.
        assert ended <= estimated + 3 * 2


def test_a_job_alone_ends_after_its_own_time(make_job: MakeJob) -> None:
    job = make_job(of("a"), 0.25)

    assert FairQueue().finish_seconds(job.path, job.seconds) == 0.25


def test_the_first_levels_of_a_flow_stand_for_all_jobs_inside(make_job: MakeJob, model: Any) -> None:
    queue = FairQueue()
    fill(queue, make_job, 2, of("a"), model=model)
    fill(queue, make_job, 8, of("a"), model=type(model)())
    fill(queue, make_job, 100, of("b"))
    path = make_job(of("a"), model=model).path

    # Two jobs of its model and itself; the other model gets as much, and the other address as much as both.
    assert queue.finish_seconds(path, 1.0) == (2 + 1) * 2 * 2
    assert queue.finish_seconds(path[:3], 1.0) == (10 + 1) * 2
    assert queue.finish_seconds(path[:1], 1.0) == 110 + 1
