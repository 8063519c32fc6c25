"""A job: it ends once, from whichever thread, and holds its image no longer."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from spyglass_contract.errors import Cancelled, InternalError
from spyglass_server.access.entries import Identity
from spyglass_server.access.scopes import Scopes
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.job import Job

MakeWork = Callable[..., Any]
Outcome = tuple[object, Exception | None]


class Ended:
    """The ends of jobs, and their releases, in order."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.released: list[Job] = []
        self.order: list[str] = []

    def done(self, response: object, error: Exception | None) -> None:
        self.order.append("done")
        self.outcomes.append((response, error))

    def release(self, job: Job) -> None:
        self.order.append("release")
        self.released.append(job)


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def make(work: MakeWork, ended: Ended) -> Callable[..., Job]:
    """Make a job: `make(call)`."""
    return lambda call=None: Job(work(), call or Call(), ended.done, 1.0, ended.release)


def test_a_job_ends_with_its_response_after_it_has_left_its_place(
    make: Callable[..., Job], ended: Ended
) -> None:
    job = make()
    assert not job.ended

    job.end("response")

    assert job.ended
    assert ended.outcomes == [("response", None)]
    assert ended.released == [job]
    assert ended.order == ["release", "done"]


def test_only_the_first_end_counts(make: Callable[..., Job], ended: Ended) -> None:
    job, error = make(), InternalError("first")

    job.end(error=error)
    job.end("response")
    job.cancel()

    assert ended.outcomes == [(None, error)]
    assert ended.released == [job]


def test_of_many_threads_one_ends_the_job(make: Callable[..., Job], ended: Ended) -> None:
    threads, rounds = 4, 200
    jobs = [make() for _ in range(rounds)]
    together = Barrier(threads)

    def end_all(name: int) -> None:
        together.wait(30)
        for job in jobs:
            job.end(name)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(end_all, range(threads)))

    assert len(ended.outcomes) == len(ended.released) == rounds
    assert set(ended.released) == set(jobs)


def test_a_job_ends_when_its_call_is_cancelled(make: Callable[..., Job], ended: Ended) -> None:
    call = Call()
    job = make(call)
    job.watch()

    call.cancel()

    assert isinstance(ended.outcomes[0][1], Cancelled)
    assert job.ended


def test_a_job_whose_call_was_cancelled_before_ends_at_once(make: Callable[..., Job], ended: Ended) -> None:
    call = Call()
    job = make(call)
    call.cancel()
    assert not ended.outcomes

    job.watch()

    assert isinstance(ended.outcomes[0][1], Cancelled)
    assert call._listeners == []


def test_a_job_that_has_ended_does_not_watch_its_call(make: Callable[..., Job], ended: Ended) -> None:
    call = Call()
    first, second = make(call), make(call)
    first.watch()
    first.end("first")
    second.end("second")
    second.watch()

    assert call._listeners == []
    call.cancel()
    assert [response for response, _ in ended.outcomes] == ["first", "second"]


def test_a_cancelled_call_ends_each_of_its_jobs(make: Callable[..., Job], ended: Ended) -> None:
    call = Call()
    jobs = [make(call) for _ in range(10)]
    for job in jobs:
        job.watch()

    call.cancel()

    assert ended.released == jobs
    assert call._listeners == []


def test_no_job_misses_a_cancellation_that_comes_while_it_begins_to_watch(
    make: Callable[..., Job], ended: Ended
) -> None:
    with ThreadPoolExecutor(2) as pool:
        for _ in range(300):
            call = Call()
            watching = pool.submit(make(call).watch)
            cancelling = pool.submit(call.cancel)
            watching.result(30), cancelling.result(30)
            assert call._listeners == []

    assert len(ended.outcomes) == 300


@pytest.mark.slow
def test_an_ended_job_holds_its_image_no_longer(make: Callable[..., Job]) -> None:
    job = make()
    assert job.work is not None
    image = weakref.ref(job.work)

    job.end("response")
    gc.collect()

    assert image() is None


def test_the_flow_of_a_job_is_its_priority_address_connection_and_model(work: MakeWork, model: Any) -> None:
    def path(call: Call, model: object) -> Any:
        return Job(work(model=model), call, lambda response, error: None, 1.0, lambda job: None).path

    first, second = model, type(model)()
    caller, other = Caller("address", "connection"), Caller("address", "other")
    normal, bulk = path(Call(caller=caller), first), path(Call(caller=caller, bulk=True), first)

    assert [weight for _, weight in normal[1:]] == [1, 1, 1]
    assert normal[0][1] == 10 * bulk[0][1]
    assert normal[1:] == bulk[1:] == path(Call(caller=caller), first)[1:]
    assert normal[:3] == path(Call(caller=caller), second)[:3]
    assert normal[3] != path(Call(caller=caller), second)[3]
    assert normal[:2] == path(Call(caller=other), first)[:2]
    assert normal[2] != path(Call(caller=other), first)[2]


def test_a_caller_with_a_token_has_one_flow_from_all_its_addresses(work: MakeWork) -> None:
    def path(caller: Caller) -> Any:
        return Job(work(), Call(caller=caller), lambda response, error: None, 1.0, lambda job: None).path

    team, other = (Identity("id", name, Scopes.parse(["admin"])) for name in ("team", "other"))

    assert path(Caller("a", "a:1", team))[:2] == path(Caller("b", "b:1", team))[:2]
    assert path(Caller("a", "a:1", team))[1] != path(Caller("a", "a:1", other))[1]
    assert path(Caller("a", "a:1", team))[1] != path(Caller("a", "a:1"))[1]
