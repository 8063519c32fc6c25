"""When to retry, and when to give up."""

from __future__ import annotations

import pytest

from spyglass_client._attempts import CONNECTION_LOST, TLS_FAILED, Attempts, RetryPolicy
from spyglass_client._options import Retry
from spyglass_contract import errors

STEADY = Retry(attempts=9, initial_backoff=0.5, max_backoff=3.0, jitter=0)
UNAVAILABLE = errors.Unavailable("starting")


def test_pauses_double_up_to_the_longest() -> None:
    policy = RetryPolicy(STEADY)
    assert [policy.pause_after(UNAVAILABLE) for _ in range(5)] == [0.5, 1, 2, 3, 3]


def test_full_jitter_draws_from_the_whole_pause() -> None:
    retry = Retry(initial_backoff=1.0)
    pauses = [RetryPolicy(retry).pause_after(UNAVAILABLE) or 0.0 for _ in range(500)]
    assert all(0 <= pause <= 1 for pause in pauses)
    assert min(pauses) < 0.1 < 0.9 < max(pauses)


def test_the_pause_for_a_full_server_is_the_time_that_it_gives() -> None:
    full = errors.Overloaded("full", retry_after=2.0)
    assert RetryPolicy(STEADY).pause_after(full) == 2.5


@pytest.mark.parametrize(
    "error",
    [
        errors.Overloaded("full for good"),
        errors.ImageError("broken"),
        errors.NotFound("no such model"),
        errors.DeadlineExceeded("late"),
        errors.InternalError("a fault"),
        errors.Cancelled("gone"),
        errors.LimitExceeded("too large"),
        errors.Unavailable("another certificate", reason=TLS_FAILED),
    ],
)
def test_no_other_error_is_retried(error: errors.SpyglassError) -> None:
    assert RetryPolicy(STEADY).pause_after(error) is None


def test_after_the_last_attempt_the_error_is_raised() -> None:
    attempts = Attempts(Retry(attempts=2, jitter=0), None)
    assert attempts.pause_after(UNAVAILABLE) > 0
    with pytest.raises(errors.Unavailable):
        attempts.pause_after(UNAVAILABLE)


def test_a_pause_that_reaches_past_the_deadline_is_not_begun() -> None:
    attempts = Attempts(STEADY, 0.4)
    with pytest.raises(errors.Unavailable):
        attempts.pause_after(UNAVAILABLE)


def test_an_attempt_has_the_time_that_is_left_until_the_deadline() -> None:
    remaining = Attempts(STEADY, 60.0).remaining()
    assert remaining is not None
    assert 0 < remaining <= 60
    assert Attempts(STEADY, None).remaining() is None


def test_by_default_only_the_deadline_ends_the_attempts() -> None:
    policy = RetryPolicy(Retry(jitter=0))
    pauses = [policy.pause_after(UNAVAILABLE) for _ in range(2000)]
    assert pauses[:5] == [0.2, 0.4, 0.8, 1.6, 2.0]
    assert set(pauses[5:]) == {2.0}


def test_a_request_that_loses_its_connection_repeatedly_is_sent_a_limited_number_of_times() -> None:
    lost = errors.Unavailable("reset", reason=CONNECTION_LOST)
    policy = RetryPolicy(Retry())
    # Attempts that reach no server do not count towards the limit.
    outcomes = [
        policy.pause_after(error) for error in (lost, UNAVAILABLE, lost, UNAVAILABLE, lost, lost, lost)
    ]
    assert [pause is None for pause in outcomes] == [False] * 6 + [True]


def test_a_call_that_must_not_be_repeated_ends_with_its_connection() -> None:
    lost = errors.Unavailable("reset", reason=CONNECTION_LOST)
    attempts = Attempts(STEADY, None, repeatable=False)
    # The server that refuses a call has done nothing.
    assert attempts.pause_after(UNAVAILABLE) > 0
    with pytest.raises(errors.Unavailable, match="reset"):
        attempts.pause_after(lost)
