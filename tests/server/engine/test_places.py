"""Places for waiting calls: which call gets one, and which call loses its place."""

from __future__ import annotations

import time

import pytest

from spyglass_contract.errors import DeadlineExceeded, Overloaded, SpyglassError, Unavailable
from spyglass_server.engine.places import Places, Rules


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


def nobody(error: SpyglassError) -> None:
    raise AssertionError(error)


def test_there_are_as_many_places_as_the_capacity() -> None:
    made = places(protected_seconds=100.0)
    for caller in "abc":
        made.enter(caller, nobody)

    with pytest.raises(Overloaded, match="the server already has 3 calls") as raised:
        made.enter("d", nobody)

    assert raised.value.reason == "TOO_MANY"
    assert raised.value.retry_after


def test_one_caller_gets_no_more_places_than_its_quota() -> None:
    made = places(protected_seconds=100.0)
    made.enter("a", nobody)
    made.enter("a", nobody)

    with pytest.raises(Overloaded, match="this address already has 2 calls"):
        made.enter("a", nobody)
    made.enter("b", nobody)


def test_a_place_that_a_call_leaves_is_free_again() -> None:
    made = places(protected_seconds=100.0)
    first = made.enter("a", nobody)
    made.enter("a", nobody)
    made.leave(first)
    made.leave(first)

    made.enter("a", nobody)
    assert len(made) == 2


def test_the_caller_with_the_most_places_loses_its_oldest() -> None:
    made, told = places(), []
    made.enter("b", nobody)
    made.enter("a", told.append)
    made.enter("a", nobody)

    made.enter("c", nobody)

    (error,) = told
    assert isinstance(error, Overloaded)
    assert len(made) == 3


def test_a_call_that_works_keeps_its_place() -> None:
    made = places(capacity=1)
    made.enter("a", nobody).works()

    with pytest.raises(Overloaded):
        made.enter("b", nobody)


def test_a_call_that_waits_again_may_lose_its_place() -> None:
    made, told = places(capacity=1), []
    place = made.enter("a", told.append)
    place.works()
    place.waits()

    made.enter("b", nobody)

    assert len(told) == 1


def test_a_call_that_waits_for_too_long_loses_its_place() -> None:
    made, told = places(seconds=0.01), []
    made.enter("a", told.append)
    made.enter("b", nobody).works()
    time.sleep(0.02)

    made.sweep()

    (error,) = told
    assert isinstance(error, DeadlineExceeded)
    assert (error.message, error.reason) == ("too late", "LATE")
    assert len(made) == 1


def test_dismiss_ends_all_calls_with_the_same_error() -> None:
    made, told = places(), []
    made.enter("a", told.append)
    made.enter("b", told.append)
    error = Unavailable("draining")

    made.dismiss(error)

    assert told == [error, error]
    assert len(made) == 0
