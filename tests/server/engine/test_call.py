"""A call: its deadline, and its cancellation."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from spyglass_contract.errors import Cancelled, DeadlineExceeded
from spyglass_server.engine.call import Call, Caller


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


def test_a_listener_runs_when_the_call_is_cancelled() -> None:
    call, notes = Call(), []
    call.on_cancel(lambda: notes.append("cancelled"))
    assert notes == []

    call.cancel()

    assert notes == ["cancelled"]


def test_a_listener_runs_at_once_if_the_call_is_already_cancelled() -> None:
    call, notes = Call(), []
    call.cancel()

    call.on_cancel(lambda: notes.append("cancelled"))

    assert notes == ["cancelled"]


def test_a_forgotten_listener_does_not_run() -> None:
    call, notes = Call(), []

    def note() -> None:
        notes.append("cancelled")

    call.on_cancel(note)
    call.forget(note)
    call.forget(note)
    call.cancel()

    assert notes == []


def test_a_listener_may_forget_itself_and_others_while_they_run() -> None:
    call, notes = Call(), []
    listeners: list[Callable[[], None]] = []

    def note() -> None:
        notes.append("cancelled")
        for listener in listeners:
            call.forget(listener)

    listeners += [note, lambda: notes.append("other")]
    for listener in listeners:
        call.on_cancel(listener)
    call.cancel()

    assert notes == ["cancelled", "other"]
    assert call._listeners == []


def test_a_part_of_a_call_ends_at_its_own_deadline_and_keeps_the_rest() -> None:
    whole = Call(soon(), patient=True, caller=Caller("address", "connection"), bulk=True, request_id="one")

    part = whole.until(time.monotonic() + 10)

    assert part.remaining() == pytest.approx(10, abs=1)
    assert whole.until(time.monotonic() + 1000).remaining() == pytest.approx(30, abs=1)
    assert (part.patient, part.bulk, part.request_id) == (True, True, "one")
    assert part.caller is whole.caller


def test_a_part_is_cancelled_with_its_call_even_if_it_has_no_listener() -> None:
    whole = Call()
    part = whole.until(soon())
    whole.cancel()

    with pytest.raises(Cancelled):
        part.remaining()
    with pytest.raises(Cancelled):
        whole.until(soon()).remaining()


def test_the_listeners_of_a_part_run_when_its_call_is_cancelled() -> None:
    whole, notes = Call(), []
    part = whole.until(soon())
    part.on_cancel(lambda: notes.append("part"))
    whole.cancel()
    part.on_cancel(lambda: notes.append("late"))

    assert notes == ["part", "late"]


def test_a_part_without_listeners_leaves_none_in_its_call() -> None:
    whole, notes = Call(), []
    for _ in range(100):
        part = whole.until(soon())
        listeners = [lambda: notes.append("first"), lambda: notes.append("second")]
        for listener in listeners:
            part.on_cancel(listener)
        for listener in listeners:
            part.forget(listener)

    assert whole._listeners == []
    whole.cancel()
    assert notes == []


def test_no_listener_is_lost_while_other_threads_add_forget_and_cancel() -> None:
    for _ in range(200):
        whole = Call()
        part = whole.until(soon())
        notes: list[int] = []

        def add(number: int, part: Call = part, notes: list[int] = notes) -> None:
            def other() -> None:
                pass

            part.on_cancel(other)
            part.forget(other)
            part.on_cancel(lambda: notes.append(number))

        with ThreadPoolExecutor(4) as pool:
            added = [pool.submit(add, number) for number in range(4)]
            cancelled = pool.submit(whole.cancel)
            for each in (*added, cancelled):
                each.result(30)

        assert set(notes) == {0, 1, 2, 3}
