"""The retries that a client may still send."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from spyglass_client import Overloaded, Retry, RetryBudget, Unavailable
from spyglass_client._attempts import CONNECTION_LOST, UNREACHABLE, Attempts, RetryPolicy
from spyglass_client._budget import Budget

LOST = Unavailable("reset", reason=CONNECTION_LOST)


class Clock:
    """A clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_tokens_are_there_and_then_a_retry_waits_for_its_own() -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=4, burst=2), Clock())
    assert [budget.reserve() for _ in range(5)] == [0, 0, 0.25, 0.5, 0.75]


def test_time_brings_tokens_up_to_the_burst() -> None:
    clock = Clock()
    budget = Budget(RetryBudget(ratio=0, per_second=2, burst=3), clock)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    clock.now += 1
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.now += 1e9
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_retries_are_at_most_a_fraction_of_the_calls() -> None:
    budget = Budget(RetryBudget(ratio=0.25, per_second=0, burst=1), Clock())
    taken = 0
    for _ in range(400):
        budget.add_call()
        taken += budget.take()
    assert taken == 100


def test_a_token_that_would_come_too_late_is_not_taken() -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=1, burst=1), Clock())
    assert budget.reserve() == 0
    assert budget.reserve(longest=0.9) is None
    assert budget.reserve(longest=1.1) == 1.0


def test_without_a_rate_an_empty_budget_has_no_token_ever() -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=0, burst=1), Clock())
    assert budget.reserve() == 0
    assert budget.reserve() is None


def test_no_budget_is_no_limit() -> None:
    assert {Budget(None).reserve() for _ in range(1000)} == {0.0}


def test_a_forked_process_has_a_budget_of_its_own() -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=0, burst=1))
    assert budget.take()
    child = os.fork()
    if child == 0:
        os._exit(0 if budget.take() and not budget.take() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("error", [LOST, Overloaded("full", retry_after=0.01)], ids=["lost", "overloaded"])
def test_retries_of_calls_that_a_server_had_or_refused_for_load_take_tokens(error: Any) -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=0, burst=3))
    outcomes = [RetryPolicy(Retry(), budget).pause_after(error) for _ in range(5)]
    assert [pause is None for pause in outcomes] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("reason", [UNREACHABLE, "NOT_READY", "DRAINING"])
def test_retries_of_calls_that_no_server_took_are_free(reason: str) -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=0, burst=1))
    assert budget.take()
    pauses = [RetryPolicy(Retry(), budget).pause_after(Unavailable("no", reason=reason)) for _ in range(9)]
    assert None not in pauses


def test_a_call_whose_token_comes_after_its_deadline_fails_at_once() -> None:
    budget = Budget(RetryBudget(ratio=0, per_second=1, burst=1))
    budget.take()
    with pytest.raises(Unavailable):
        Attempts(Retry(), 0.5, budget).pause_after(LOST)
    assert Attempts(Retry(), 5, budget).pause_after(LOST) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratio": -0.1},
        {"ratio": math.nan},
        {"ratio": math.inf},
        {"ratio": "0.2"},
        {"per_second": -1},
        {"per_second": math.inf},
        {"per_second": True},
        {"burst": 0},
        {"burst": 2.5},
        {"burst": True},
    ],
    ids=str,
)
def test_an_invalid_budget_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="RetryBudget needs a finite ratio"):
        RetryBudget(**wrong)


@pytest.mark.parametrize("wrong", [0.2, "default", True], ids=repr)
def test_a_budget_that_is_none_is_rejected(wrong: Any) -> None:
    with pytest.raises(ValueError, match="budget a RetryBudget or None"):
        Retry(budget=wrong)
