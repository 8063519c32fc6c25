"""The time that a work is expected to take, from the times that were measured."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from spyglass_server.engine.scheduling.service_times import ServiceTimes

MakeWork = Callable[..., Any]


def test_a_model_that_has_never_run_is_expected_to_be_quick(work: MakeWork) -> None:
    assert 0 < ServiceTimes().expected(work()) <= 0.1


def test_the_first_measured_time_is_the_expected_one(work: MakeWork) -> None:
    times = ServiceTimes()
    times.record(work(), 0.25, 0.25)

    assert times.expected(work()) == 0.25


def test_the_expected_time_follows_a_change_within_fifty_runs(work: MakeWork) -> None:
    times = ServiceTimes()
    times.record(work(), 1.0, 1.0)
    before = times.expected(work())
    for _ in range(50):
        times.record(work(), 0.1, 0.1)
        assert 0.1 < times.expected(work()) < before
        before = times.expected(work())

    assert before == pytest.approx(0.1, rel=0.1)


def test_one_slow_run_does_not_multiply_the_expected_time(work: MakeWork) -> None:
    times = ServiceTimes()
    for _ in range(20):
        times.record(work(), 0.01, 0.01)
    times.record(work(), 0.1, 0.1)

    assert times.expected(work()) < 0.02


def test_each_kind_of_work_has_its_own_time_and_an_unknown_one_that_of_its_model(work: MakeWork) -> None:
    times = ServiceTimes()
    times.record(work(cost_key="small"), 0.01, 0.01)
    times.record(work(cost_key="large"), 0.5, 0.5)

    assert times.expected(work(cost_key="small")) == 0.01
    assert times.expected(work(cost_key="large")) == 0.5
    assert 0.01 < times.expected(work(cost_key="other")) < 0.5


def test_a_model_does_not_use_the_times_of_another(work: MakeWork) -> None:
    times, other = ServiceTimes(), SimpleNamespace(profile=None)
    times.record(work(), 5.0, 5.0)

    assert times.expected(work(model=other)) < 1
    times.record(work(model=other), 0.5, 0.5)
    assert times.expected(work(model=other)) == 0.5
    assert times.expected(work()) == 5.0


def test_callers_that_make_up_kinds_of_work_take_no_more_memory_and_the_model_keeps_its_time(
    work: MakeWork,
) -> None:
    times = ServiceTimes()
    for size in range(20_000):
        times.record(work(cost_key=("explain", size)), 0.125, 0.125)

    assert len(times._kinds) < 5000
    assert times.expected(work(cost_key="new")) == pytest.approx(0.125)


def test_a_kind_of_work_is_light_after_many_short_runs_in_a_row(work: MakeWork) -> None:
    times = ServiceTimes()
    for _ in range(49):
        times.record(work(), 0.0002, 0.0002)
    assert not times.is_light(work())

    times.record(work(), 0.0002, 0.0002), times.record(work(), 0.0002, 0.0002)
    assert times.is_light(work())
    assert not times.is_light(work(cost_key="other"))
    times.record(work(), 0.02, 0.02)
    assert not times.is_light(work())


def test_a_kind_of_work_that_takes_milliseconds_is_never_light(work: MakeWork) -> None:
    times = ServiceTimes()
    for _ in range(200):
        times.record(work(), 0.002, 0.002)

    assert not times.is_light(work())


def test_the_mean_is_of_the_works_of_every_kind(work: MakeWork) -> None:
    times = ServiceTimes()
    for _ in range(300):
        times.record(work(cost_key="short"), 0.1, 0.1)
        times.record(work(cost_key="long"), 0.3, 0.3)

    assert times.mean == pytest.approx(0.2, rel=0.2)


def test_a_work_is_light_by_the_processor_time_of_its_thread(work: Any) -> None:
    times = ServiceTimes()
    for _ in range(60):
        # Other threads had the interpreter most of the time.
        times.record(work(), 0.002, 0.0002)

    assert times.is_light(work())
    assert times.expected(work()) == pytest.approx(0.002)
