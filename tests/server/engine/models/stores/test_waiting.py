"""Calls that may not return."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

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
