"""Thousands of jobs from many threads, of which many fail, are cancelled or come too late."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Thread
from typing import Any

import pytest

from spyglass_contract.errors import Cancelled, DeadlineExceeded, ImageError, Overloaded
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.job import Job
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Further

PATIENCE = 60
MakeWork = Callable[..., Any]
MakeWorkers = Callable[..., Workers]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture(autouse=True)
def many_switches() -> Iterator[None]:
    """Switch between threads far more often than usual, so that they meet in more places."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Ledger:
    """The jobs that were submitted or refused, and each end of each."""

    def __init__(self) -> None:
        self.submitted: list[int] = []
        self.refused: list[int] = []
        self.ends: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def done_of(self, number: int, value: int, allowed: tuple[type[Exception], ...]) -> Callable[..., None]:
        def done(response: Any, error: Exception | None) -> None:
            self.ends[number] += 1
            self.outcomes[type(error).__name__ if error else "response"] += 1
            if error is not None and not isinstance(error, allowed):
                self.wrong.append(f"{number}: {error!r}")
            if error is None and response.output != 2 * value:
                self.wrong.append(f"{number}: {response.output} is the output of another image")

        return done


def failing(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fail_at_13(pixels: Any) -> Any:
        outputs = run(pixels)
        if 13 in pixels:
            raise RuntimeError("kernel failed")
        return outputs

    return fail_at_13


def bad_image() -> Any:
    raise ImageError("not an image")


def submit_many(
    workers: Workers, work: MakeWork, kinds: list[dict[str, Any]], ledger: Ledger, thread: int, count: int
) -> None:
    """Submit `count` jobs of every sort, and cancel some of them before, while and after they run."""
    random, calls = Random(thread), []
    for number in range(thread * count, (thread + 1) * count):
        while workers.inside > random.choice([10, 120]):
            time.sleep(0.0001)
        sort, value = random.randrange(8), random.randrange(14, 100)
        deadline = time.monotonic() + (random.random() * 0.02 if sort == 1 else PATIENCE)
        caller = Caller(f"address-{thread % 3}", f"connection-{thread % 5}")
        call = Call(deadline, caller=caller, bulk=random.random() < 0.2, patient=random.random() < 0.3)
        changes = dict(random.choice(kinds))
        if sort == 2:
            changes["prepare"] = bad_image
        if sort == 3:
            value, changes["run"] = 13, failing(changes["run"])
        if sort == 4:
            Thread(target=call.cancel).start() if number % 5 == 0 else calls.append(call)
        try:
            workers.submit(
                work(value, **changes),
                call.until(deadline) if number % 2 else call,
                ledger.done_of(number, value, _ALLOWED[sort]),
            )
            ledger.submitted.append(number)
        except (Overloaded, Cancelled, DeadlineExceeded):
            ledger.refused.append(number)
        if calls and random.random() < 0.3:
            calls.pop(random.randrange(len(calls))).cancel()
    for call in calls:
        call.cancel()


_ALLOWED: dict[int, tuple[type[Exception], ...]] = {
    1: (DeadlineExceeded, Overloaded),
    2: (ImageError,),
    3: (RuntimeError,),
    4: (Cancelled,),
}
_ALLOWED |= {sort: () for sort in range(8) if sort not in _ALLOWED}


@pytest.mark.parametrize("count", [80, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("threads", "max_batch"), [(8, 1), (8, 4)])
def test_every_job_ends_once_and_none_stays_inside(
    make_workers: MakeWorkers, work: MakeWork, model: Any, threads: int, max_batch: int, count: int
) -> None:
    def double(pixels: Any) -> Any:
        time.sleep(0.0001)
        return pixels[:, 0, 0, 0].astype(int) * 2

    def other(pixels: Any) -> Any:
        return double(pixels)

    model.max_batch = max_batch
    workers, ledger = make_workers(3, requests=150), Ledger()
    models = [model, type(model)(max_batch)]
    kinds = [{"model": each, "run": run} for each in models for run in (double, other)]
    with ThreadPoolExecutor(threads) as pool:
        started = [
            pool.submit(submit_many, workers, work, kinds, ledger, thread, count) for thread in range(threads)
        ]
        for each in started:
            each.result(PATIENCE)
    workers.close()

    assert ledger.wrong == []
    assert sorted(ledger.submitted + ledger.refused) == list(range(threads * count))
    assert ledger.ends == Counter(ledger.submitted)
    assert {"response", "Cancelled", "ImageError", "RuntimeError"} <= set(ledger.outcomes)
    assert workers.inside == 0
    assert not workers._jobs and not workers._threads
    assert len(workers._queue) == 0
    assert workers._queue.seconds == pytest.approx(0, abs=1e-6)
    assert workers._admission.running_seconds == pytest.approx(0, abs=1e-6)


def test_jobs_with_further_jobs_end_once_while_their_calls_are_cancelled(
    make_workers: MakeWorkers, work: MakeWork, eventually: Eventually
) -> None:
    workers, ends = make_workers(3), Counter[int]()

    def begin(job: Job) -> None:
        left = [1] * 4

        def done(response: object, error: Exception | None) -> None:
            if error:
                job.end(error=error)
                return
            left.pop()
            if not left:
                job.end("all")

        for value in range(4):
            workers.submit_further(work(value), job, done)

    whole = Call(time.monotonic() + PATIENCE)
    calls = [whole.until(time.monotonic() + PATIENCE) if n % 2 else Call() for n in range(120)]
    for number, call in enumerate(calls):

        def done(response: object, error: Exception | None, number: int = number) -> None:
            ends[number] += 1
            assert response == "all" or isinstance(error, Cancelled)

        workers.submit(work(respond=lambda inferred: Further(begin)), call, done)
        if number % 3 == 0:
            Thread(target=call.cancel).start()
    eventually(lambda: workers.inside == 0)
    workers.close()

    assert ends == Counter(range(120))
    assert not workers._jobs
    assert whole._listeners == []
    assert all(call._listeners == [] for call in calls)


def test_threads_that_are_lost_and_come_back_lose_no_job(
    make_workers: MakeWorkers, work: MakeWork, eventually: Eventually
) -> None:
    def slow(pixels: Any) -> Any:
        time.sleep(0.06)
        return pixels[:, 0, 0, 0]

    workers, ends = make_workers(2), Counter[int]()
    for number in range(40):

        def done(response: object, error: Exception | None, number: int = number) -> None:
            ends[number] += 1

        stuck = number % 4 == 0
        call = Call(time.monotonic() + 0.005 if stuck else None)
        with_run = {"run": slow} if stuck else {}
        try:
            workers.submit(work(number, **with_run), call, done)
        except Overloaded:
            ends[number] += 1
        time.sleep(0.002)
    eventually(lambda: workers.inside == 0 and workers.lost == 0)

    assert ends == Counter(range(40))
    eventually(lambda: len(workers._idle) == 2)
    eventually(lambda: len(workers._threads) == 2)
    assert workers._admission.running_seconds == pytest.approx(0, abs=1e-6)
