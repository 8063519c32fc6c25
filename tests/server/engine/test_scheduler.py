"""The queue of one model: when images run, in which batch, and when they are dropped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Semaphore, Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from spyglass_server.engine.scheduler import Inference, Scheduler

from handled import submit
from spyglass_contract.errors import Cancelled, DeadlineExceeded, Overloaded, Unavailable
from spyglass_server.engine.call import Call

PATIENCE = 30
Eventually = Callable[[Callable[[], bool]], None]


class Network:
    """Double the first pixel of each image; while the gate is closed, each run waits."""

    def __init__(self) -> None:
        self.gate = Event()
        self.gate.set()
        self.entered = Semaphore(0)
        self.batches: list[list[int]] = []

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(pixels[:, 0, 0, 0].tolist())
        self.entered.release()
        assert self.gate.wait(PATIENCE)
        return pixels[:, 0, 0, :].astype(np.float32) * 2


class Queue(Scheduler):
    """A scheduler whose images all have the same `run`."""

    def __init__(self, run: Any, **options: Any) -> None:
        self.run = run
        super().__init__(**options)

    def put(self, pixels: NDArray[np.uint8], call: Call) -> Future[Inference[Any]]:
        """Queue one image, and return the future of its output."""
        return submit(self, pixels, call, self.run)


def image(value: int) -> NDArray[np.uint8]:
    return np.full((2, 2, 1), value, np.uint8)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def schedule(network: Network) -> Iterator[Callable[..., Queue]]:
    """Make a scheduler around the network: `schedule(workers=1, max_batch=1)`."""
    made: list[Queue] = []

    def make(workers: int = 1, max_batch: int = 1, run: object = None) -> Queue:
        made.append(Queue(run or network.run, workers=workers, max_batch=max_batch, name="test"))
        return made[-1]

    yield make
    network.gate.set()
    for scheduler in made:
        scheduler.close()


def occupy(scheduler: Queue, network: Network) -> list[Future[Inference]]:
    """Make every worker wait at the closed gate, each with one image."""
    network.gate.clear()
    futures = []
    for _ in range(scheduler.workers):
        futures.append(scheduler.put(image(0), Call()))
        assert network.entered.acquire(timeout=PATIENCE)
    network.batches.clear()
    return futures


def test_an_image_gets_its_output(schedule: Callable[..., Queue]) -> None:
    inference = schedule().put(image(21), Call()).result(PATIENCE)

    assert inference.output.tolist() == [42]
    assert inference.batch_size == 1
    assert inference.queue_ms >= 0
    assert inference.inference_ms > 0


def test_waiting_images_run_in_one_batch_up_to_the_best_size(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule(max_batch=4)
    occupy(scheduler, network)

    futures = [scheduler.put(image(value), Call()) for value in range(1, 7)]
    network.gate.set()

    assert [future.result(PATIENCE).output.item() for future in futures] == [2, 4, 6, 8, 10, 12]
    assert network.batches == [[1, 2, 3, 4], [5, 6]]
    assert [future.result().batch_size for future in futures] == [4, 4, 4, 4, 2, 2]


def test_free_workers_divide_the_waiting_images(
    schedule: Callable[..., Queue], network: Network, eventually: Eventually
) -> None:
    scheduler = schedule(workers=2, max_batch=8)
    network.gate.clear()
    eventually(lambda: scheduler._free == 2)

    # While the lock is held no worker can take any: all six wait before the first is taken.
    with scheduler._changed:
        futures = [scheduler.put(image(value), Call()) for value in range(1, 7)]
    for _ in range(2):
        assert network.entered.acquire(timeout=PATIENCE)
    network.gate.set()

    assert sum(future.result(PATIENCE).output.item() for future in futures) == 42
    assert sorted(network.batches) == [[1, 2, 3], [4, 5, 6]]


def test_a_worker_takes_one_image_rather_than_wait_for_more(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule(max_batch=16)

    assert scheduler.put(image(1), Call()).result(PATIENCE).batch_size == 1


def test_an_entry_whose_deadline_passed_is_dropped(schedule: Callable[..., Queue], network: Network) -> None:
    scheduler = schedule()
    occupy(scheduler, network)
    call = Call(time.monotonic() + PATIENCE)
    late, next_one = scheduler.put(image(1), call), scheduler.put(image(2), Call())

    call.deadline = time.monotonic()
    network.gate.set()

    with pytest.raises(DeadlineExceeded):
        late.result(PATIENCE)
    assert next_one.result(PATIENCE).output.tolist() == [4]
    assert network.batches == [[2]]


def test_an_entry_whose_call_is_cancelled_is_dropped(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule(max_batch=4)
    occupy(scheduler, network)
    call = Call()
    futures = [scheduler.put(image(value), call) for value in (1, 2, 3)]

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call.wait, futures[1])
        call.cancel()
        with pytest.raises(Cancelled):
            waiting.result(PATIENCE)
    network.gate.set()

    assert futures[2].result(PATIENCE).output.tolist() == [6]
    assert network.batches == [[1, 3]]


def test_a_call_that_is_cancelled_while_its_image_runs_does_not_affect_the_others(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule(max_batch=2)
    (running,) = occupy(scheduler, network)

    assert not running.cancel()
    network.gate.set()

    assert scheduler.put(image(5), Call()).result(PATIENCE).output.tolist() == [10]


def test_a_call_that_cannot_meet_its_deadline_is_refused_at_once(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule()
    (first,) = occupy(scheduler, network)
    time.sleep(0.05)
    network.gate.set()
    first.result(PATIENCE)
    occupy(scheduler, network)

    with pytest.raises(Overloaded) as refused:
        scheduler.put(image(1), Call(time.monotonic() + 0.02))

    assert refused.value.reason == "DEADLINE_TOO_SHORT"
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 0.05
    scheduler.put(image(1), Call(time.monotonic() + PATIENCE))


def test_a_free_worker_takes_an_image_even_if_the_last_batch_was_slow(
    schedule: Callable[..., Queue], network: Network, eventually: Eventually
) -> None:
    scheduler = schedule()
    (first,) = occupy(scheduler, network)
    time.sleep(0.05)
    network.gate.set()
    first.result(PATIENCE)

    def is_taken() -> bool:
        try:
            scheduler.put(image(1), Call(time.monotonic() + 0.02))
        except Overloaded:
            return False
        return True

    eventually(is_taken)


@pytest.mark.parametrize("expired", [Call(0.0), Call()], ids=["late", "cancelled"])
def test_a_late_or_cancelled_call_is_not_queued(schedule: Callable[..., Queue], expired: Call) -> None:
    if expired.deadline is None:
        expired.cancel()

    with pytest.raises((DeadlineExceeded, Cancelled)):
        schedule().put(image(1), expired)


def test_a_failure_reaches_the_callers_of_its_batch_and_the_worker_continues(
    schedule: Callable[..., Queue], network: Network
) -> None:
    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        output = network.run(pixels)
        if pixels.max() == 13:
            raise RuntimeError("kernel failed")
        return output

    scheduler = schedule(max_batch=2, run=run)
    occupy(scheduler, network)
    futures = [scheduler.put(image(value), Call()) for value in (13, 1, 2)]
    network.gate.set()

    for failed in futures[:2]:
        with pytest.raises(RuntimeError, match="kernel failed"):
            failed.result(PATIENCE)
    assert futures[2].result(PATIENCE).output.tolist() == [4]


def test_too_few_outputs_are_a_failure_and_the_worker_continues(
    schedule: Callable[..., Queue], network: Network
) -> None:
    scheduler = schedule(max_batch=2, run=lambda pixels: network.run(pixels)[:1])
    occupy(scheduler, network)
    futures = [scheduler.put(image(value), Call()) for value in (1, 2, 3)]
    network.gate.set()

    for failed in futures[:2]:
        with pytest.raises(ValueError, match="shorter"):
            failed.result(PATIENCE)
    assert futures[2].result(PATIENCE).output.tolist() == [6]


def test_closing_completes_the_waiting_entries(schedule: Callable[..., Queue], network: Network) -> None:
    scheduler = schedule(workers=2, max_batch=2)
    running = occupy(scheduler, network)
    waiting = [scheduler.put(image(value), Call()) for value in range(1, 6)]

    closing = Thread(target=scheduler.close)
    closing.start()
    network.gate.set()
    closing.join(PATIENCE)

    assert not closing.is_alive()
    assert all(future.done() for future in running)
    assert [future.result(0).output.item() for future in waiting] == [2, 4, 6, 8, 10]


def test_a_closed_scheduler_refuses_images(schedule: Callable[..., Queue]) -> None:
    scheduler = schedule()
    scheduler.close()

    with pytest.raises(Unavailable) as refused:
        scheduler.put(image(1), Call())

    assert refused.value.reason == "DRAINING"


def test_many_callers_get_their_own_outputs_while_others_cancel(
    schedule: Callable[..., Queue],
) -> None:
    scheduler = schedule(workers=3, max_batch=4)

    def put_one(value: int) -> tuple[int, float | None]:
        future = scheduler.put(image(value), Call(time.monotonic() + PATIENCE))
        if value % 5 == 0 and future.cancel():
            return value, None
        return value, future.result(PATIENCE).output.item()

    with ThreadPoolExecutor(16) as pool:
        outputs = dict(pool.map(put_one, range(250)))

    assert all(inference in (None, 2 * value) for value, inference in outputs.items())
    assert all(outputs[value] is not None for value in range(250) if value % 5)
