"""Medians and ratios of a comparison, and what a run leaves in a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from comparing.report import report
from comparing.results import Measured, Results
from comparing.rounds import Figures, largest_difference

MACHINE = {"processor": "a processor", "flags": [], "cores": 2, "python": "3", "versions": {"numpy": "2"}}
OPTIONS = {"rounds": 3, "seconds": 1.0, "processes": 2}


def figures(cpu_ms: float, per_second: float, *, failed: int = 0) -> Figures:
    return Figures(cpu_ms, per_second, 1.0, 2.0, 0.1, failed)


@pytest.fixture
def results() -> Results:
    """Three rounds, of which the second was slow for all."""
    found = Results(MACHINE, {"in process": {}, "plain": {}, "ours": {"numpy": "2"}, "gone": {}}, OPTIONS)
    for factor in (1, 10, 2):
        for name, cpu in (("ours", 0.5), ("plain", 1.0), ("in process", 0.4)):
            measured = figures(cpu * factor, 100 / cpu / factor)
            found.measured.append(Measured("tiny", 8, name, measured))
    return found


def test_ratios_are_those_of_the_same_round(results: Results) -> None:
    limit, plain, ours = results.rows("tiny", 8)
    assert (limit.server, plain.server, ours.server) == ("in process", "plain", "ours")
    assert ours.cpu_ms == 1.0
    assert (ours.lowest_cpu_ms, ours.highest_cpu_ms) == (0.5, 5.0)
    assert ours.of_plain == pytest.approx(0.5)
    assert ours.of_limit == pytest.approx(0.8)
    assert limit.of_limit is None


def test_without_the_plain_server_there_is_no_ratio(results: Results) -> None:
    results.measured = [each for each in results.measured if each.server == "ours"]
    (ours,) = results.rows("tiny", 8)
    assert ours.of_plain is None and ours.of_limit is None


def test_a_run_is_read_again_as_it_was_written(results: Results, tmp_path: Path) -> None:
    results.differences.append(("tiny", "ours", 1e-7))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(asdict(results)))
    assert Results.read(path) == results


def test_the_report_names_failed_calls_and_other_classes(results: Results) -> None:
    results.measured[0] = Measured("tiny", 8, "ours", figures(0.5, 200, failed=3))
    results.differences = [("tiny", "ours", None), ("tiny", "plain", 2e-7), ("tiny", "bf16", 3e-3)]
    text = report(results)
    assert "**3 calls failed: ours, tiny, 8 callers.**" in text
    assert "**ours named other classes than the model in this process for tiny.**" in text
    assert "difference of a score between servers was 2e-07" in text
    assert "bf16 differs by 0.003 in a score of tiny." in text
    assert "| plain | 2 (1 to 10) | 1.00 |" in text


def test_scores_of_other_classes_have_no_difference() -> None:
    assert largest_difference({"a": 0.5, "b": 0.25}, {"a": 0.5, "b": 0.5}) == 0.25
    assert largest_difference({"a": 0.5}, {"b": 0.5}) is None
    assert largest_difference({"a": 0.5}, None) is None
