"""A call: its deadline, and its cancellation."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from spyglass_contract.errors import Cancelled, DeadlineExceeded
from spyglass_server.engine.call import Call


def soon() -> float:
    return time.monotonic() + 30


def test_a_call_without_a_deadline_has_no_time_limit() -> None:
    assert Call().remaining() is None


def test_a_call_with_a_deadline_returns_the_time_that_is_left() -> None:
    remaining = Call(soon()).remaining()

    assert remaining is not None
    assert 0 < remaining <= 30


def test_a_passed_deadline_raises() -> None:
    with pytest.raises(DeadlineExceeded):
        Call(time.monotonic()).remaining()


def test_a_cancelled_call_raises_even_without_a_deadline() -> None:
    call = Call()
    call.cancel()

    with pytest.raises(Cancelled):
        call.remaining()


def test_waiting_returns_the_result() -> None:
    future: Future[int] = Future()
    future.set_result(5)

    assert Call(soon()).wait(future) == 5


def test_waiting_raises_what_the_work_raised() -> None:
    future: Future[int] = Future()
    future.set_exception(KeyError("inside"))

    with pytest.raises(KeyError, match="inside"):
        Call().wait(future)


def test_waiting_ends_at_the_deadline_and_cancels_the_work() -> None:
    future: Future[int] = Future()

    with pytest.raises(DeadlineExceeded):
        Call(time.monotonic() + 0.01).wait(future)

    assert future.cancelled()


def test_waiting_ends_when_the_caller_cancels_and_cancels_the_work() -> None:
    call, future = Call(), Future[int]()

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(call.wait, future)
        call.cancel()
        with pytest.raises(Cancelled):
            waiting.result(30)

    assert future.cancelled()


def test_a_call_that_is_already_cancelled_does_not_wait() -> None:
    call, future = Call(), Future[int]()
    call.cancel()

    with pytest.raises(Cancelled):
        call.wait(future)

    assert future.cancelled()


def test_work_that_has_started_is_not_cancelled() -> None:
    call, future = Call(time.monotonic() + 0.01), Future[int]()
    future.set_running_or_notify_cancel()

    with pytest.raises(DeadlineExceeded):
        call.wait(future)

    assert future.running()


def test_a_callback_runs_if_the_caller_cancels_inside_of_the_block() -> None:
    call, notes = Call(), []

    with call.on_cancel(lambda: notes.append("cancelled")):
        call.cancel()

    assert notes == ["cancelled"]


def test_a_callback_runs_at_once_if_the_call_is_already_cancelled() -> None:
    call, notes = Call(), []
    call.cancel()

    with call.on_cancel(lambda: notes.append("cancelled")):
        assert notes == ["cancelled"]


def test_a_callback_does_not_run_after_the_block() -> None:
    call, notes = Call(), []

    with call.on_cancel(lambda: notes.append("cancelled")):
        pass
    call.cancel()

    assert notes == []
