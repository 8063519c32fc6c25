"""Which of several servers gets a call."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from spyglass_client import NonBlockingTransport, Unavailable
from spyglass_client._options.connections import Policy
from spyglass_client._transports.balancing.availability import Availability, State
from spyglass_client._transports.balancing.servers import BalancedServers, Server

UP, NEW, DOWN = State.AVAILABLE, State.UNKNOWN, State.UNAVAILABLE


class Recorder:
    """A transport that records its calls; it raises `error` if it has one."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls
        self.error: Exception | None = None

    def send(self, method: str, request: Any, timeout: float | None) -> Any:
        self._calls.append(self._name)
        if self.error:
            raise self.error

    def start(self, method: str, request: Any, timeout: float | None) -> Any:
        return self.send(method, request, timeout)

    def stream(self, method: str, requests: Iterator[Any]) -> Any:
        self._calls.append(self._name)
        return iter([1, 2])

    def close(self) -> None:
        self._calls.append(f"close {self._name}")


def _known(state: Any) -> Availability:
    return cast(Availability, state)


class Several:
    """Servers with the names and states of a test, and the calls that they got."""

    def __init__(self, names: str, *states: State, policy: Policy = "round_robin") -> None:
        self.calls: list[str] = []
        self.noted: list[str] = []
        self.states = [
            SimpleNamespace(state=state, note=lambda error: self.noted.append(str(error))) for state in states
        ]
        self.transports = [Recorder(f"{name}{number}", self.calls) for number, name in enumerate(names)]
        self.balanced = BalancedServers(
            [
                Server(
                    cast(NonBlockingTransport, transport), name, lambda state=state: cast(Availability, state)
                )
                for transport, name, state in zip(self.transports, names, self.states, strict=True)
            ],
            policy,
        )

    def counts(self, calls: int) -> dict[str, int]:
        self.calls.clear()
        for _ in range(calls):
            self.balanced.send("Classify", None, None)
        return dict(Counter(self.calls))


def test_available_servers_get_equal_numbers_of_calls_and_the_others_none() -> None:
    assert Several("abc", UP, UP, UP).counts(30) == {"a0": 10, "b1": 10, "c2": 10}
    # The parts of those that are missing go to the others.
    assert Several("abc", UP, DOWN, UP).counts(30) == {"a0": 15, "c2": 15}
    assert Several("abcd", UP, DOWN, UP, DOWN).counts(40) == {"a0": 20, "c2": 20}
    assert Several("abcdef", DOWN, UP, UP, DOWN, UP, UP).counts(240) == dict.fromkeys(
        ("b1", "c2", "e4", "f5"), 60
    )


def test_servers_that_are_not_connected_yet_come_before_unavailable_ones() -> None:
    assert Several("abc", DOWN, NEW, DOWN).counts(3) == {"b1": 3}
    assert Several("ab", DOWN, DOWN).counts(4) == {"a0": 2, "b1": 2}


def test_a_server_that_comes_back_gets_its_part_again() -> None:
    several = Several("ab", UP, DOWN)
    assert several.counts(4) == {"a0": 4}
    several.states[1].state = UP
    assert several.counts(4) == {"a0": 2, "b1": 2}


def test_clients_do_not_all_begin_with_the_same_server() -> None:
    first = set()
    for _ in range(200):
        several = Several("ab", UP, UP)
        several.balanced.send("Classify", None, None)
        first.update(several.calls)
    assert first == {"a0", "b1"}


def test_with_failover_the_first_available_address_gets_all_calls_over_all_its_connections() -> None:
    several = Several("aabb", UP, UP, UP, UP, policy="failover")
    assert several.counts(4) == {"a0": 2, "a1": 2}
    several.states[0].state = DOWN
    assert several.counts(4) == {"a1": 4}
    several.states[1].state = DOWN
    assert several.counts(4) == {"b2": 2, "b3": 2}


def test_with_failover_the_first_address_need_not_be_the_first_to_connect() -> None:
    assert Several("ab", NEW, UP, policy="failover").counts(3) == {"a0": 3}
    assert Several("ab", DOWN, NEW, policy="failover").counts(3) == {"b1": 3}


def attempts(several: Several, count: int) -> list[str]:
    route = several.balanced.route()
    several.calls.clear()
    for _ in range(count):
        route.send("Classify", None, None)
    return several.calls


def test_each_attempt_of_a_call_goes_to_another_server() -> None:
    assert sorted(attempts(Several("abc", UP, UP, UP), 3)) == ["a0", "b1", "c2"]


def test_attempts_prefer_another_address_to_another_connection() -> None:
    for _ in range(20):
        first, second, *_ = attempts(Several("aab", UP, UP, UP), 2)
        assert first[0] != second[0]


def test_when_all_were_tried_the_next_round_begins_with_another_one() -> None:
    tried = attempts(Several("ab", DOWN, DOWN), 8)
    assert all(one != next_one for one, next_one in itertools.pairwise(tried))


def test_further_attempts_do_not_disturb_the_turns_of_the_calls() -> None:
    """With two servers and two attempts for each call, both servers get half of the first attempts."""
    several = Several("ab", UP, UP)
    first = [attempts(several, 2)[0] for _ in range(10)]
    assert Counter(first) == {"a0": 5, "b1": 5}


@pytest.mark.parametrize(
    ("states", "outcomes"),
    [((UP, UP), [True, False]), ((NEW, NEW), [True, False]), ((UP, DOWN), [False]), ((DOWN, DOWN), [False])],
    ids=str,
)
def test_there_is_an_elsewhere_as_long_as_an_untried_server_may_be_available(
    states: tuple[State, ...], outcomes: list[bool]
) -> None:
    route = Several("ab", *states).balanced.route()
    for outcome in outcomes:
        route.send("Classify", None, None)
        assert route.elsewhere == outcome


def test_after_a_response_a_stream_that_breaks_may_go_to_any_other_server() -> None:
    route = Several("ab", UP, UP).balanced.route()
    route.stream("Classify", iter(()))
    assert route.elsewhere
    second = route.stream("Classify", iter(()))
    assert not route.elsewhere
    next(iter(second))
    assert route.elsewhere


def test_a_failed_call_is_noted_with_its_server() -> None:
    several = Several("a", UP)
    several.transports[0].error = Unavailable("down")
    with pytest.raises(Unavailable):
        several.balanced.send("Classify", None, None)
    assert several.noted == ["down"]


def test_closing_closes_all() -> None:
    several = Several("ab", UP, UP)
    several.balanced.send("Classify", None, None)
    several.calls.clear()
    several.balanced.close()
    assert several.calls == ["close a0", "close b1"]
