"""Reading: held bytes and bytes on the way stay within the budget."""

from __future__ import annotations

import time

import pytest

from spyglass_contract.errors import Overloaded, SpyglassError
from spyglass_server.engine.capacity import reading
from spyglass_server.engine.capacity.byte_budget import ByteBudget
from spyglass_server.engine.capacity.reading import Reader, Reading

LONGEST = 10


class Calls:
    """Calls that record when they start and with which error they end."""

    def __init__(self, budget: ByteBudget) -> None:
        self.allocated = 0
        self.reading = Reading(budget, LONGEST, lambda: self.allocated)
        self.reading.tick()
        self.started: list[str] = []
        self.refused: dict[str, SpyglassError] = {}

    def enter(self, name: str) -> Reader:
        return self.reading.enter(
            lambda: self.started.append(name), lambda error: self.refused.update({name: error})
        )


@pytest.fixture
def budget() -> ByteBudget:
    return ByteBudget(3 * LONGEST)


@pytest.fixture
def calls(budget: ByteBudget) -> Calls:
    return Calls(budget)


def test_the_number_of_calls_read_at_a_time_assumes_the_longest_message_for_each(calls: Calls) -> None:
    for name in "abcde":
        calls.enter(name)

    assert calls.started == ["a", "b", "c"]
    assert calls.reading.waiting == 2


def test_an_arrived_message_starts_the_last_waiting_call(calls: Calls) -> None:
    first, *_ = [calls.enter(name) for name in "abcde"]

    calls.reading.leave(first)
    calls.reading.leave(first)

    assert calls.started == ["a", "b", "c", "e"]


def test_held_bytes_use_up_the_budget(calls: Calls, budget: ByteBudget) -> None:
    budget.take(2 * LONGEST)

    for name in "ab":
        calls.enter(name)

    assert calls.started == ["a"]


def test_no_call_is_read_while_the_budget_is_used_up(calls: Calls, budget: ByteBudget) -> None:
    budget.take(3 * LONGEST)
    calls.enter("a")
    assert calls.started == []

    budget.give_back(3 * LONGEST)
    calls.reading.tick()

    assert calls.started == ["a"]


def test_a_slow_sender_uses_only_the_bytes_that_it_has_sent(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_YOUNG_SECONDS", 0.0)

    for name in "abcdefgh":
        calls.enter(name)
    assert calls.started == list("abcdefgh")

    calls.allocated = 3 * LONGEST
    calls.enter("i")
    assert calls.started == list("abcdefgh")


def test_the_slowest_call_is_refused_if_memory_is_short(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PATIENT_SECONDS", 0.0)
    for name in "abcd":
        calls.enter(name)

    calls.reading.tick()

    assert list(calls.refused) == ["a"]
    assert isinstance(calls.refused["a"], Overloaded)
    assert calls.refused["a"].reason == "BYTES_IN_FLIGHT"


def test_a_call_that_waits_for_too_long_is_refused(
    calls: Calls, budget: ByteBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_WAIT_SECONDS", 0.01)
    budget.take(3 * LONGEST)
    calls.enter("a")
    time.sleep(0.02)

    calls.reading.tick()

    assert list(calls.refused) == ["a"]
    assert calls.reading.waiting == 0


def test_a_message_may_arrive_while_its_call_starts(budget: ByteBudget) -> None:
    made = Reading(budget, LONGEST, lambda: 0)
    readers: list[Reader] = []
    started = []

    for number in range(10):
        readers.append(made.enter(lambda number=number: started.append(number), lambda error: None))
        made.leave(readers[-1])

    assert started == list(range(10))


def test_one_message_is_always_allowed() -> None:
    budget = ByteBudget(1)

    budget.take(100)
    with pytest.raises(Overloaded, match="already holds 100 bytes of requests; it may hold 1"):
        budget.take(1)
    budget.give_back(100)

    budget.take(1)
    assert budget.held == 1


def test_take_peak_resets_the_peak() -> None:
    budget = ByteBudget(10)
    budget.take(7)
    budget.give_back(7)

    assert [budget.take_peak(), budget.take_peak()] == [7, 0]
