"""Threads that run a network side by side for a measurement."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from threading import Barrier, get_native_id

import pytest

from known_speed import Machine
from spyglass_server.engine.profiling.timing import Timing


@pytest.fixture
def timing() -> Iterator[Timing]:
    with closing(Timing(3, lambda: False)) as made:
        yield made


def test_runs_are_under_way_side_by_side(timing: Timing, machine: Machine) -> None:
    # Each run waits for two others.
    together = Barrier(3)

    def run() -> None:
        together.wait(30)
        machine.pass_time(0.5)

    assert timing.seconds(run, machine.meters.thread_clock, at_once=3, repeats=4) == 0.5


def test_the_error_of_a_run_is_raised(timing: Timing) -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        timing.seconds(fail, lambda: 0.0, at_once=3, repeats=1)


def test_an_interruption_ends_the_runs_without_a_result(machine: Machine) -> None:
    runs: list[int] = []
    with closing(Timing(1, lambda: len(runs) == 2)) as timing:
        found = timing.seconds(lambda: runs.append(1), machine.meters.thread_clock, at_once=1, repeats=9)

    assert found is None
    assert len(runs) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_the_threads_give_way_to_those_of_requests(timing: Timing) -> None:
    usual = os.getpriority(os.PRIO_PROCESS, get_native_id())
    measuring = timing.call(lambda: os.getpriority(os.PRIO_PROCESS, get_native_id()))

    assert measuring == min(usual + 10, 19)
    assert os.getpriority(os.PRIO_PROCESS, get_native_id()) == usual
