"""Moments without work: a measurement begins in one, and notices when it ends."""

from __future__ import annotations

from threading import Event

import pytest

from known_speed import FakeLoad
from spyglass_server.engine.profiling.quiet import Quiet, Stopped


class ScriptedWaiting(Event):
    """An event whose `wait` runs the next step of a script and takes no time; then it is set."""

    def __init__(self, *steps: object) -> None:
        super().__init__()
        self.steps = list(steps)
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        if not self.steps:
            self.set()
            return True
        step = self.steps.pop(0)
        if callable(step):
            step()
        return False


def test_a_server_without_work_is_quiet_at_once(load: FakeLoad) -> None:
    waiting = ScriptedWaiting(None)
    quiet = Quiet(load, waiting)

    quiet.wait()

    assert not quiet.broken
    assert waiting.waits == [0.01]


def test_a_request_inside_delays_the_measurement(load: FakeLoad) -> None:
    load.inside = 1
    waiting = ScriptedWaiting(None, None, lambda: setattr(load, "inside", 0))

    Quiet(load, waiting).wait()

    assert len(waiting.waits) == 3


def test_a_request_that_came_and_went_delays_the_measurement(load: FakeLoad) -> None:
    waiting = ScriptedWaiting(lambda: setattr(load, "admitted", 1), None)

    Quiet(load, waiting).wait()

    assert len(waiting.waits) == 2


@pytest.mark.parametrize("field", ["inside", "admitted"])
def test_a_request_breaks_the_quiet(load: FakeLoad, field: str) -> None:
    quiet = Quiet(load, ScriptedWaiting(None))
    quiet.wait()

    setattr(load, field, 1)

    assert quiet.broken


def test_interruptions_make_the_pauses_longer_and_success_makes_them_shorter(load: FakeLoad) -> None:
    waiting = ScriptedWaiting(*[None] * 20)
    quiet = Quiet(load, waiting)

    for interrupted in [True] * 12 + [False] * 2:
        quiet.wait()
        quiet.record(interrupted=interrupted)
    quiet.wait()

    assert waiting.waits[:3] == [0.01, 0.02, 0.04]
    assert waiting.waits[-4:] == [5.0, 5.0, 2.5, 1.25]


def test_the_end_of_the_server_ends_the_wait(load: FakeLoad) -> None:
    load.inside = 1

    with pytest.raises(Stopped):
        Quiet(load, ScriptedWaiting(None, None)).wait()


def test_a_measurement_that_nobody_needs_ends(load: FakeLoad) -> None:
    load.inside = 1

    with pytest.raises(Stopped):
        Quiet(load, ScriptedWaiting(None, None), is_needed=lambda: False).wait()
