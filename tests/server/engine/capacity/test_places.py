"""Places for waiting calls: which call gets one, and which call loses its place."""

from __future__ import annotations

import time

import pytest

from spyglass_contract.errors import DeadlineExceeded, Overloaded, SpyglassError, Unavailable
from spyglass_server.engine.capacity.places import Places, Rules


def places(**changes: object) -> Places:
    rules = {
        "what": "calls",
        "full": lambda message: Overloaded(message, reason="TOO_MANY", retry_after=1),
        "late": lambda: DeadlineExceeded("too late", reason="LATE"),
        "capacity": 3,
        "per_caller": 2,
        "seconds": 100.0,
        "protected_seconds": 0.0,
    }
    return Places(Rules(**{**rules, **changes}))


def ignore(error: SpyglassError) -> None:
    raise AssertionError(error)


def test_there_are_as_many_places_as_the_capacity() -> None:
    made = places(protected_seconds=100.0)
    for caller in "abc":
        made.enter(caller, ignore)

    with pytest.raises(Overloaded, match="the server already has 3 calls") as raised:
        made.enter("d", ignore)

    assert raised.value.reason == "TOO_MANY"
    assert raised.value.retry_after


def test_one_caller_gets_no_more_places_than_its_quota() -> None:
    made = places(protected_seconds=100.0)
    made.enter("a", ignore)
    made.enter("a", ignore)

    with pytest.raises(Overloaded, match="this caller already has 2 calls"):
        made.enter("a", ignore)
    made.enter("b", ignore)


def test_a_place_that_a_call_leaves_is_free_again() -> None:
    made = places(protected_seconds=100.0)
    first = made.enter("a", ignore)
    made.enter("a", ignore)
    made.leave(first)
    made.leave(first)

    made.enter("a", ignore)
    assert len(made) == 2


def test_the_caller_with_the_most_places_loses_its_oldest() -> None:
    made, received = places(), []
    made.enter("b", ignore)
    made.enter("a", received.append)
    made.enter("a", ignore)

    made.enter("c", ignore)

    (error,) = received
    assert isinstance(error, Overloaded)
    assert len(made) == 3


def test_a_call_that_works_keeps_its_place() -> None:
    made = places(capacity=1)
    made.enter("a", ignore).works()

    with pytest.raises(Overloaded):
        made.enter("b", ignore)


def test_a_call_that_waits_again_may_lose_its_place() -> None:
    made, received = places(capacity=1), []
    place = made.enter("a", received.append)
    place.works()
    place.waits()

    made.enter("b", ignore)

    assert len(received) == 1


def test_a_call_that_waits_for_too_long_loses_its_place() -> None:
    made, received = places(seconds=0.01), []
    made.enter("a", received.append)
    made.enter("b", ignore).works()
    time.sleep(0.02)

    made.sweep()

    (error,) = received
    assert isinstance(error, DeadlineExceeded)
    assert (error.message, error.reason) == ("too late", "LATE")
    assert len(made) == 1


def test_dismiss_ends_all_calls_with_the_same_error() -> None:
    made, received = places(), []
    made.enter("a", received.append)
    made.enter("b", received.append)
    error = Unavailable("draining")

    made.dismiss(error)

    assert received == [error, error]
    assert len(made) == 0
