"""What an overload counts as: answered, refused, timed out or late."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from measuring.calls import Calls
from overloading.open_loop import OpenCalls, joined
from overloading.outcome import Outcome, outcome
from overloading.report import report


def calls(*each: tuple[float, float, str]) -> OpenCalls:
    """Return calls of (due, waited, status), each sent 1 ms after it was due."""
    due, waited, codes = zip(*each, strict=True)
    taken = np.array(waited) - 0.001
    return OpenCalls(np.array(due), np.array(waited), taken, np.array(codes), Counter(), {}, 0.5)


REFUSED = calls((0.5, 0.02, "RESOURCE_EXHAUSTED"))
MEMORY = [(second / 2, 100.0) for second in range(20)]
HEALTH = Calls(np.array([0.001, 0.002, 0.003]), Counter(), 0.0)


def measured(*each: tuple[float, float, str]) -> Outcome:
    return outcome("tiny", 2.0, 1.0, 2.0, calls(*each), HEALTH, MEMORY, REFUSED)


def met(found: Outcome) -> list[bool]:
    return [each for _, _, each in found.aims]


def test_an_answer_counts_by_when_it_was_due_and_a_refusal_by_when_it_was_sent() -> None:
    found = measured((0.1, 0.3, "OK"), (0.2, 1.2, "OK"), (1.5, 0.011, "RESOURCE_EXHAUSTED"))
    assert found.goodput == 0.5
    assert found.answered_late == 1
    assert found.refused == pytest.approx(1 / 3)
    assert found.refusal_p99_ms == pytest.approx(10)
    assert found.sent_late_p99_ms == pytest.approx(1)


def test_a_call_that_the_server_reset_at_its_deadline_timed_out() -> None:
    found = measured((0.1, 1.0, "CANCELLED"), (0.2, 1.0, "DEADLINE_EXCEEDED"), (0.3, 0.1, "UNAVAILABLE"))
    assert found.timed_out == pytest.approx(2 / 3)
    assert found.history == [(0, 0, 2, 1), (0, 0, 0, 0)]


def test_all_aims_are_met_by_a_server_that_answers_what_it_can_and_refuses_the_rest() -> None:
    found = measured(*[(0.5 * n, 0.2, "OK") for n in range(4)], (1.9, 0.01, "RESOURCE_EXHAUSTED"))
    assert all(met(found))
    assert "**not met**" not in report([found])


@pytest.mark.parametrize(
    ("change", "aim"),
    [
        ({"goodput": 1.7}, 0),
        ({"refusal_p99_ms": 51.0}, 1),
        ({"refusal_p99_ms": float("nan")}, 1),
        ({"answered_late": 1}, 2),
        ({"timed_out": 0.01}, 3),
        ({"health_p99_ms": 51.0}, 4),
        ({"memory": [(0.5 * n, 100.0 + n) for n in range(20)]}, 5),
    ],
)
def test_each_aim_can_be_missed(change: dict[str, object], aim: int) -> None:
    found = measured(*[(0.5 * n, 0.2, "OK") for n in range(4)], (1.9, 0.01, "RESOURCE_EXHAUSTED"))
    assert [not each for each in met(replace(found, **change))] == [n == aim for n in range(6)]  # type: ignore[arg-type]


def test_the_calls_of_several_processes_add_up() -> None:
    found = joined([calls((0.1, 0.1, "OK")), calls((0.2, 1.0, "DEADLINE_EXCEEDED"))])
    assert found.codes.tolist() == ["OK", "DEADLINE_EXCEEDED"]
    assert found.cpu_seconds == 1.0
