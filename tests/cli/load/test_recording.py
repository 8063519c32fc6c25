"""Histograms of latencies, and records that cross from process to process."""

from __future__ import annotations

import pickle

import pytest

from spyglass_cli.load.loads import ClosedLoop
from spyglass_cli.load.recording import ANSWERED, Record, Times
from spyglass_cli.load.results import Measured
from spyglass_cli.load.server_usage import Usage
from spyglass_cli.load.traffic import Bytes
from spyglass_client import DeadlineExceeded, Overloaded


def test_percentiles_are_exact_to_a_thousandth() -> None:
    times = Times()
    for milliseconds in range(1, 1001):
        times.add(milliseconds / 1e3)
    assert times.count == 1000
    assert times.percentile(50) == pytest.approx(0.5, rel=2e-3)
    assert times.percentile(99) == pytest.approx(0.99, rel=2e-3)
    assert times.percentile(100) == pytest.approx(1.0, rel=2e-3)


def test_without_durations_there_is_no_percentile() -> None:
    assert Times().percentile(99) is None


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, 1e9])
def test_durations_beyond_the_range_count_at_its_end(seconds: float) -> None:
    times = Times()
    times.add(seconds)
    found = times.percentile(100)
    assert times.count == 1
    assert found is not None and 0 < found <= 3601


def test_records_add_up_after_they_crossed_to_another_process() -> None:
    whole = Record()
    for seconds, error in ((0.01, None), (0.5, Overloaded("full")), (1.0, DeadlineExceeded("late"))):
        part = Record()
        part.add(seconds, error)
        part.late.add(0.002)
        part.sent.merge(Bytes(total=100, messages=1))
        whole.merge(pickle.loads(pickle.dumps(part)))
    assert whole.codes == {ANSWERED: 1, "QUEUE_FULL": 1, "DEADLINE_EXCEEDED": 1}
    assert (whole.answered.count, whole.failed.count, whole.late.count) == (1, 2, 3)
    assert (whole.sent.mean, whole.sent.messages, whole.received.mean) == (100, 3, None)
    assert whole.failed.percentile(100) == pytest.approx(1.0, rel=2e-3)


def test_results_say_what_the_server_used_for_each_request() -> None:
    record = Record()
    for _ in range(10):
        record.add(0.02, None)
    measured = Measured(ClosedLoop(2), 4.0, record, Usage(1.0, 5), Usage(1.5, 7))
    assert measured.cpu_ms == pytest.approx(50)
    assert measured.rate == 2.5
    found = measured.to_dict()
    assert found["concurrency"] == 2
    assert found["rate"] is None
    assert found["latency_ms"]["p99"] == pytest.approx(20, rel=2e-3)
    assert found["server_resident_bytes"] == 7
