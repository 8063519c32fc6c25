"""The workers: who runs what, in which batch, and how they start and end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from threading import Event, Thread, get_ident
from typing import Any

import numpy as np
import pytest

from spyglass_contract.errors import ImageError, Overloaded, Unavailable
from spyglass_server.engine.call import Call, Caller
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Further
from works import prepared_of, put

PATIENCE = 30
MakeWork = Callable[..., Any]
MakeWorkers = Callable[..., Workers]
Occupy = Callable[[Workers], list[Any]]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def all_at_once() -> Iterator[None]:
    """Let no other thread run until this one waits."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(PATIENCE)
    yield
    sys.setswitchinterval(before)


def test_an_image_gets_its_output(make_workers: MakeWorkers, work: MakeWork) -> None:
    inferred = put(make_workers(), work(21)).result(PATIENCE)

    assert inferred.output == 42
    assert inferred.batch_size == 1
    assert inferred.queue_ms >= 0
    assert inferred.inference_ms > 0


def test_waiting_images_run_in_batches_up_to_the_largest(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy
) -> None:
    model.max_batch = 4
    workers = make_workers()
    occupy(workers)
    ended = [put(workers, work(value)) for value in range(1, 7)]
    run.gate.set()

    assert [each.result(PATIENCE).output for each in ended] == [2, 4, 6, 8, 10, 12]
    assert run.batches == [[1, 2, 3, 4], [5, 6]]
    assert [each.result().batch_size for each in ended] == [4, 4, 4, 4, 2, 2]


def test_a_worker_takes_one_image_rather_than_wait_for_more(
    make_workers: MakeWorkers, work: MakeWork, model: Any
) -> None:
    model.max_batch = 16

    assert put(make_workers(), work()).result(PATIENCE).batch_size == 1


@pytest.mark.usefixtures("all_at_once")
def test_free_workers_divide_the_waiting_images(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, eventually: Eventually
) -> None:
    model.max_batch = 8
    workers = make_workers(2)
    eventually(lambda: len(workers._idle) == 2)
    run.gate.clear()
    ended = [put(workers, work(value)) for value in range(1, 7)]
    for _ in range(2):
        assert run.entered.acquire(timeout=PATIENCE)
    run.gate.set()

    assert sum(each.result(PATIENCE).output for each in ended) == 42
    assert sorted(run.batches) == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.usefixtures("all_at_once")
def test_as_many_images_as_workers_run_side_by_side(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, eventually: Eventually
) -> None:
    model.max_batch = 8
    workers = make_workers(3)
    eventually(lambda: len(workers._idle) == 3)
    run.gate.clear()
    for value in range(3):
        put(workers, work(value))
    for _ in range(3):
        assert run.entered.acquire(timeout=5)

    assert sorted(run.batches) == [[0], [1], [2]]


def test_images_of_different_models_or_runs_are_not_in_one_batch(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy
) -> None:
    def other_run(pixels: Any) -> Any:
        return run(pixels)

    model.max_batch = 8
    other_model = type(model)(8)
    workers = make_workers()
    occupy(workers)
    kinds = [{}, {"model": other_model}, {"run": other_run}]
    ended = [put(workers, work(n % 3, **kinds[n % 3])) for n in range(12)]
    run.gate.set()

    assert [each.result(PATIENCE).output for each in ended] == [0, 2, 4] * 4
    assert all(len(set(batch)) == 1 for batch in run.batches)
    assert len(run.batches) >= 3


@pytest.mark.parametrize("callers", [1, 4])
@pytest.mark.parametrize("kind", ["model", "run"])
def test_images_of_a_kind_share_batches_when_other_kinds_wait_between_them(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy, kind: str, callers: int
) -> None:
    def other_run(pixels: Any) -> Any:
        return run(pixels)

    model.max_batch = 8
    other = {"model": {"model": type(model)(8)}, "run": {"run": other_run}}[kind]
    workers = make_workers()
    occupy(workers)
    calls = [Call(caller=Caller("address", f"connection-{number % callers}")) for number in range(16)]
    ended = [put(workers, work(n % 2, **(other if n % 2 else {})), calls[n // 2]) for n in range(16)]
    run.gate.set()

    assert [each.result(PATIENCE).output for each in ended] == [0, 2] * 8
    assert sorted(run.batches) == [[0] * 8, [1] * 8]


def test_an_image_that_makes_its_batch_fail_fails_alone(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy
) -> None:
    def fails_at_13(pixels: Any) -> Any:
        outputs = run(pixels)
        if 13 in pixels:
            raise RuntimeError("kernel failed")
        return outputs

    model.max_batch = 4
    workers = make_workers()
    occupy(workers)
    ended = [put(workers, work(value, run=fails_at_13)) for value in (1, 13, 3, 4)]
    run.gate.set()

    with pytest.raises(RuntimeError, match="kernel failed"):
        ended[1].result(PATIENCE)
    assert [ended[n].result(PATIENCE).output for n in (0, 2, 3)] == [2, 6, 8]
    assert put(workers, work(5)).result(PATIENCE).output == 10
    assert workers.inside == 0


def test_a_full_server_refuses_a_request_before_its_image_is_read(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers, read = make_workers(requests=2), []
    (running,) = occupy(workers)
    waiting = put(workers, work(1))

    with pytest.raises(Overloaded) as refused:
        put(workers, work(prepare=lambda: read.append("image")))

    assert refused.value.reason == "QUEUE_FULL"
    assert workers.inside == 2
    run.gate.set()
    running.result(PATIENCE), waiting.result(PATIENCE)
    assert put(workers, work(2)).result(PATIENCE).output == 4
    assert read == []


def test_the_worker_that_became_free_last_runs_the_next_image(
    make_workers: MakeWorkers, work: MakeWork, eventually: Eventually
) -> None:
    def thread_of(pixels: Any) -> list[int]:
        return [get_ident()] * len(pixels)

    workers = make_workers(4)
    threads = set()
    for _ in range(30):
        eventually(lambda: len(workers._idle) == 4)
        threads.add(put(workers, work(run=thread_of)).result(PATIENCE).output)

    assert len(threads) == 1


def test_a_light_caller_is_served_before_the_flood_of_another(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers = make_workers()
    occupy(workers)
    flood = [put(workers, work(1), Call(caller=Caller("flood", "flood:1"))) for _ in range(200)]
    light = put(workers, work(2), Call(caller=Caller("light", "light:1")))
    run.gate.set()
    light.result(PATIENCE), [each.result(PATIENCE) for each in flood]

    assert run.batches.index([2]) <= 1


def test_a_work_may_need_further_works_even_when_the_server_is_full_or_closes(
    make_workers: MakeWorkers, work: MakeWork
) -> None:
    workers = make_workers(requests=1)
    closing = Thread(target=workers.close)

    def begin(job: Any) -> None:
        closing.start()
        outputs: list[float] = []

        def done(response: Any, error: Exception | None) -> None:
            outputs.append(response.output)
            if len(outputs) == 3:
                job.end(sorted(outputs))

        for value in (1, 2, 3):
            workers.submit_further(work(value), job, done)

    ended = put(workers, work(respond=lambda inferred: Further(begin)))

    assert ended.result(PATIENCE) == [2, 4, 6]
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert workers.inside == 0


def test_closing_completes_the_waiting_work(
    make_workers: MakeWorkers, work: MakeWork, model: Any, run: Any, occupy: Occupy, eventually: Eventually
) -> None:
    model.max_batch = 2
    workers = make_workers(2)
    running = occupy(workers)
    waiting = [put(workers, work(value)) for value in range(1, 6)]
    closing = Thread(target=workers.close)
    closing.start()
    eventually(lambda: workers._closed)
    run.gate.set()
    closing.join(PATIENCE)

    assert not closing.is_alive()
    assert all(each.done() for each in running)
    assert [each.result(0).output for each in waiting] == [2, 4, 6, 8, 10]


def test_closed_workers_refuse_work_and_have_no_threads(make_workers: MakeWorkers, work: MakeWork) -> None:
    workers = make_workers(3)
    put(workers, work()).result(PATIENCE)
    workers.close()
    workers.close()

    assert not workers._threads
    with pytest.raises(Unavailable) as refused:
        put(workers, work())
    assert refused.value.reason == "DRAINING"


def test_a_stall_is_the_time_in_which_requests_wait_and_none_begins_or_ends(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers = make_workers()
    (running,) = occupy(workers)
    assert workers.stalled_seconds == 0

    waiting = put(workers, work())
    assert workers.stalled_seconds < 0.02
    time.sleep(0.02)
    assert workers.stalled_seconds >= 0.02

    run.gate.set()
    running.result(PATIENCE), waiting.result(PATIENCE)
    assert workers.stalled_seconds == 0


def test_images_that_cannot_be_decoded_do_not_change_the_expected_time(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    def slow(pixels: Any) -> Any:
        time.sleep(0.05)
        return run(pixels)

    def fail() -> Any:
        raise ImageError("not an image")

    workers = make_workers()
    put(workers, work(run=slow)).result(PATIENCE)
    for bad in [put(workers, work(run=slow, prepare=fail)) for _ in range(60)]:
        with pytest.raises(ImageError):
            bad.result(PATIENCE)
    occupy(workers)

    with pytest.raises(Overloaded) as refused:
        put(workers, work(run=slow), Call(time.monotonic() + 0.03))
    assert refused.value.reason == "DEADLINE_TOO_SHORT"


def test_images_are_decoded_side_by_side(make_workers: MakeWorkers, work: MakeWork) -> None:
    first_in, second_in = Event(), Event()

    def meet(mine: Event, other: Event) -> Callable[[], Any]:
        def prepare() -> Any:
            mine.set()
            assert other.wait(PATIENCE)
            return prepared_of(np.zeros((2, 2, 1), np.uint8))

        return prepare

    workers = make_workers(2)
    ended = [
        put(workers, work(prepare=meet(first_in, second_in))),
        put(workers, work(prepare=meet(second_in, first_in))),
    ]

    assert [each.result(PATIENCE).output for each in ended] == [0, 0]


def test_a_worker_goes_on_when_a_response_cannot_be_sent(
    make_workers: MakeWorkers, work: MakeWork, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(response: object, error: Exception | None) -> None:
        raise RuntimeError("connection lost")

    workers = make_workers()
    for _ in range(3):
        workers.submit(work(1), Call(), fail)

    assert put(workers, work(2)).result(PATIENCE).output == 4
    assert workers.inside == 0
    assert caplog.text.count("could not be sent") == 3


def test_a_crowded_server_refuses_a_call_before_its_work_is_known(
    make_workers: MakeWorkers, work: MakeWork, run: Any, occupy: Occupy
) -> None:
    workers, flood, light = make_workers(requests=8), Caller("flood", "flood:1"), Caller("light", "light:1")
    occupy(workers)
    for _ in range(6):
        workers.check(Call(caller=flood))
        put(workers, work(1), Call(caller=flood))

    with pytest.raises(Overloaded) as refused:
        workers.check(Call(caller=flood))
    assert refused.value.reason == "QUEUE_FULL"
    with pytest.raises(Overloaded) as refused:
        workers.check(Call(time.monotonic() + 0.001, caller=light))
    assert refused.value.reason == "DEADLINE_TOO_SHORT"
    workers.check(Call(time.monotonic() + PATIENCE, caller=light))
    assert workers.inside == 7


def test_the_time_of_the_jobs_that_a_work_will_need_counts_before_its_deadline(
    make_workers: MakeWorkers, work: MakeWork, occupy: Occupy
) -> None:
    workers = make_workers()
    put(workers, work(1)).result(PATIENCE)
    workers.record_further(work(1), 5.0)
    occupy(workers)

    with pytest.raises(Overloaded) as refused:
        put(workers, work(1), Call(time.monotonic() + 2))

    assert refused.value.reason == "DEADLINE_TOO_SHORT"
    put(workers, work(1), Call(time.monotonic() + PATIENCE))


def test_a_fault_of_the_server_reaches_the_caller_and_the_thread_goes_on(
    make_workers: MakeWorkers, work: MakeWork, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = make_workers()

    def fail(run: Any) -> Any:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patched:
        patched.setattr(model, "widest", fail)
        with pytest.raises(RuntimeError, match="a fault"):
            put(workers, work(1)).result(PATIENCE)

    assert put(workers, work(2)).result(PATIENCE).output == 4
