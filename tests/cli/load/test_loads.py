"""Loads, their parts for several processes, and the arrivals of an open loop."""

from __future__ import annotations

import itertools
import statistics

import pytest

from spyglass_cli.load.arrivals import arrivals
from spyglass_cli.load.loads import ClosedLoop, OpenLoop, StreamLoop


@pytest.mark.parametrize(("concurrency", "processes"), [(1, 2), (5, 2), (8, 3), (2, 2)])
def test_the_callers_are_divided_among_the_processes(concurrency: int, processes: int) -> None:
    parts = [part.concurrency for part in ClosedLoop(concurrency).parts(processes)]
    assert sum(parts) == concurrency
    assert len(parts) == min(concurrency, processes)
    assert max(parts) - min(parts) <= 1


def test_the_streams_are_divided_among_the_processes_and_keep_their_window() -> None:
    assert StreamLoop(3, 8).parts(2) == [StreamLoop(2, 8), StreamLoop(1, 8)]
    assert StreamLoop(1, 8).parts(2) == [StreamLoop(1, 8)]


def test_the_processes_of_an_open_loop_share_its_rate_and_differ_in_their_arrivals() -> None:
    one, other = OpenLoop(100, seed=3).parts(2)
    assert one.rate == other.rate == 50
    assert list(arrivals(one, 1)) != list(arrivals(other, 1))


def test_poisson_arrivals_have_the_rate_and_exponential_gaps() -> None:
    times = list(arrivals(OpenLoop(1000), seconds=20))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    # Of 20,000 arrivals; the standard deviation of the count is 141.
    assert abs(len(times) - 20_000) < 700
    # An exponential distribution has a standard deviation that equals its mean; even arrivals have 0.
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)
    assert all(0 < time < 20 for time in times)


def test_even_arrivals_have_equal_gaps() -> None:
    times = list(arrivals(OpenLoop(50, "even"), seconds=2))
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert len(times) == 100
    assert gaps == pytest.approx([0.02] * 99)


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert list(arrivals(OpenLoop(10, seed=7), 3)) == list(arrivals(OpenLoop(10, seed=7), 3))
    assert list(arrivals(OpenLoop(10, seed=7), 3)) != list(arrivals(OpenLoop(10, seed=8), 3))
