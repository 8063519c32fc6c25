"""Which workers are started, and when."""

from __future__ import annotations

import logging
import time
from typing import Any, cast

import pytest

from spyglass_server.supervising import backoff
from spyglass_server.supervising.crew import Crew, WorkerFailed
from spyglass_server.supervising.worker_process import WorkerProcess


class FakeProcess:
    """A worker process of which the test says when it is ready, and when it has ended."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ready = False
        self.code: int | None = None
        self.end = "exit code 1"


class Hired:
    """A crew, and every process that it has started."""

    def __init__(self, count: int) -> None:
        self.started: list[FakeProcess] = []
        self.ended: list[int] = []
        self.crew = Crew(count, self._start, self.ended.append)

    def _start(self, number: int) -> WorkerProcess:
        self.started.append(FakeProcess(number))
        return cast(Any, self.started[-1])

    @property
    def numbers(self) -> list[int]:
        return [process.number for process in self.started]

    def serve(self) -> None:
        """Let all workers start, and serve."""
        while not all(process.ready for process in self.started) or not self.started:
            self.crew.look()
            for process in self.started:
                process.ready = True
            self.crew.look()


def test_the_first_worker_starts_alone() -> None:
    hired = Hired(3)

    assert hired.crew.look() is None
    assert (hired.numbers, hired.crew.serving) == ([1], ())
    hired.crew.look()
    assert hired.numbers == [1]
    hired.started[0].ready = True

    hired.crew.look()

    assert (hired.numbers, hired.crew.serving) == ([1, 2, 3], (1,))


@pytest.mark.parametrize("failing", [0, 2])
def test_a_worker_that_never_served_ends_the_server(failing: int) -> None:
    hired = Hired(3)
    hired.crew.look()
    hired.started[0].ready = failing > 0
    hired.crew.look()
    hired.started[failing].code = 1

    with pytest.raises(WorkerFailed, match=rf"worker {failing + 1} could not start: exit code 1"):
        hired.crew.look()


def test_a_worker_that_has_served_is_replaced_at_once(caplog: pytest.LogCaptureFixture) -> None:
    hired = Hired(2)
    hired.serve()
    assert hired.crew.serving == (1, 2)
    hired.started[1].code = -9

    with caplog.at_level(logging.INFO):
        hired.crew.look()

    assert (hired.numbers, hired.ended, hired.crew.serving) == ([1, 2, 2], [2], (1,))
    assert hired.crew.replaced == 1
    assert "worker 2 has ended with exit code 1: another one starts" in caplog.text
    assert [process.number for process in hired.crew.running] == [1, 2]


def test_a_worker_that_fails_again_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_SECONDS", 0.1)
    hired = Hired(1)
    hired.serve()
    hired.started[0].code = 1
    hired.crew.look()
    hired.started[1].code = 1

    wait = hired.crew.look()

    assert wait is not None and 0.01 < wait <= 0.1
    assert hired.numbers == [1, 1]
    time.sleep(wait)
    hired.crew.look()
    assert hired.numbers == [1, 1, 1]


def test_a_first_worker_that_is_replaced_does_not_hold_up_the_others() -> None:
    hired = Hired(2)
    hired.crew.look()
    hired.started[0].ready = True
    hired.started[0].code = -11

    hired.crew.look()

    assert sorted(hired.numbers) == [1, 1, 2]
