"""The threads of images: the limit, cancelled work, and the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from spyglass_server.engine.image_threads import ImageThreads

from spyglass_contract.errors import Cancelled
from spyglass_server.engine.call import Call

PATIENCE = 30
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def threads() -> Iterator[ImageThreads]:
    made = ImageThreads(1)
    yield made
    made.close()


def lose(threads: ImageThreads, work: Callable[[], object]) -> None:
    """Run `work` for a caller that cancels while it runs."""
    call, entered = Call(), Event()

    def enter() -> None:
        entered.set()
        work()

    with ThreadPoolExecutor() as pool:
        future = pool.submit(threads.run, call, enter)
        assert entered.wait(PATIENCE)
        call.cancel()
        with pytest.raises(Cancelled):
            future.result(PATIENCE)


def test_no_more_works_run_at_a_time_than_there_are_threads(threads: ImageThreads) -> None:
    go_on, second = Event(), Event()
    first = threads.submit(lambda: go_on.wait(PATIENCE))
    later = threads.submit(second.set)

    assert not second.wait(0.05)
    go_on.set()

    later.result(PATIENCE)
    assert first.result(PATIENCE)


def test_work_whose_caller_has_cancelled_does_not_block_other_work(threads: ImageThreads) -> None:
    go_on = Event()
    lose(threads, lambda: go_on.wait(PATIENCE))

    assert threads.lost == 1
    assert threads.run(Call(), lambda: "done") == "done"
    go_on.set()


def test_the_number_of_works_whose_callers_have_cancelled_is_bounded(
    threads: ImageThreads, eventually: Eventually
) -> None:
    go_on, later = Event(), Event()
    before = threading.active_count()
    for _ in range(2):
        lose(threads, lambda: go_on.wait(PATIENCE))

    waiting = threads.submit(later.set)

    assert threads.lost == 1
    assert threading.active_count() <= before + 2
    assert not later.wait(0.05)
    go_on.set()
    waiting.result(PATIENCE)
    eventually(lambda: threads.lost == 0)


def test_queued_work_of_a_cancelled_call_is_dropped(threads: ImageThreads) -> None:
    go_on, call, ran = Event(), Call(), Event()
    threads.submit(lambda: go_on.wait(PATIENCE))
    call.cancel()

    with pytest.raises(Cancelled):
        threads.run(call, ran.set)

    assert not threads._waiting
    go_on.set()
    threads.run(Call(), lambda: None)
    assert not ran.is_set()


def test_an_error_of_the_work_is_raised_without_the_locals_of_its_frames(threads: ImageThreads) -> None:
    def fail() -> None:
        image = bytearray(10)
        raise KeyError(len(image))

    with pytest.raises(KeyError) as raised:
        threads.run(Call(), fail)

    frames = [entry.frame for entry in raised.traceback]
    assert not any("image" in frame.f_locals for frame in frames)
