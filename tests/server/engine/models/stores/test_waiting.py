"""Calls that may not return."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import pytest

from spyglass_server.engine.models.stores.failures import StoreError
from spyglass_server.engine.models.stores.waiting import MAX_LEFT, Waiting


def test_a_result_and_an_error_are_those_of_the_work() -> None:
    def work() -> None:
        raise TimeoutError("of the work")

    assert Waiting().within(5, lambda: 7) == 7
    with pytest.raises(TimeoutError, match="of the work"):
        Waiting().within(5, work)


def test_few_calls_are_left_behind(eventually: Callable[[Callable[[], bool]], None]) -> None:
    waiting, gate = Waiting(), Event()
    for _ in range(MAX_LEFT):
        with pytest.raises(TimeoutError, match=r"no response within 0\.001 seconds"):
            waiting.within(0.001, gate.wait)
    with pytest.raises(TimeoutError, match=f"{MAX_LEFT} earlier calls have not ended"):
        waiting.within(5, lambda: 7)
    gate.set()

    def works() -> bool:
        try:
            return waiting.within(5, lambda: 7) == 7
        except TimeoutError:
            return False

    eventually(works)


def test_calls_end_when_the_server_does() -> None:
    waiting, gate, begun = Waiting(), Event(), Event()
    ended: list[StoreError] = []

    def hang() -> None:
        begun.set()
        gate.wait()

    def call() -> None:
        with pytest.raises(StoreError) as caught:
            waiting.within(60, hang)
        ended.append(caught.value)

    thread = Thread(target=call)
    thread.start()
    assert begun.wait(10)
    waiting.close()
    thread.join(10)
    assert [error.reason for error in ended] == ["SERVER_ENDS"]
    with pytest.raises(StoreError, match="the server ends"):
        waiting.within(60, lambda: 7)
    gate.set()
