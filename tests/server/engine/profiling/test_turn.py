"""Measurements of several processes, one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event, Thread

import pytest

from spyglass_server.engine.profiling.quiet import Stopped
from spyglass_server.engine.profiling.turn import turn


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def soon(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


def test_one_has_its_turn_after_the_other(lock: Path) -> None:
    order: list[str] = []
    inside = Event()

    def second() -> None:
        assert inside.wait(30)
        with turn(lock, Event(), soon()):
            order.append("second")

    thread = Thread(target=second)
    thread.start()
    with turn(lock, Event(), soon()):
        inside.set()
        thread.join(0.05)
        order.append("first")
    thread.join(30)

    assert order == ["first", "second"]


def test_after_a_time_the_turn_of_others_does_not_count(lock: Path) -> None:
    with turn(lock, Event(), soon()):
        ran = False
        with turn(lock, Event(), soon(0.05)):
            ran = True

    assert ran


def test_a_server_that_ends_does_not_wait_for_its_turn(lock: Path) -> None:
    stopped = Event()
    stopped.set()

    with turn(lock, Event(), soon()), pytest.raises(Stopped), turn(lock, stopped, soon()):
        pytest.fail("it is not its turn")


def test_a_process_alone_needs_no_file() -> None:
    with turn(None, Event(), 0.0):
        pass
