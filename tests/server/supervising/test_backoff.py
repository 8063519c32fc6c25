"""The pauses before a worker is replaced."""

from __future__ import annotations

from spyglass_server.supervising.backoff import Backoff


def test_a_worker_that_has_served_is_replaced_at_once() -> None:
    backoff = Backoff()

    assert [backoff.after(3600) for _ in range(5)] == [0] * 5


def test_the_pauses_double_for_a_worker_that_ends_while_it_starts() -> None:
    backoff = Backoff()

    assert [backoff.after(0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_the_pauses_double_for_a_worker_that_ends_soon_after_its_start() -> None:
    backoff = Backoff()

    assert [backoff.after(0.1) for _ in range(4)] == [0, 0.5, 1, 2]


def test_a_worker_that_has_served_for_long_ends_the_pauses() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.after(0)

    assert backoff.after(60) == 0
    assert backoff.after(0) == 0.5


def test_the_first_pause_follows_the_first_failed_start() -> None:
    backoff = Backoff()

    assert [backoff.after(seconds) for seconds in (0.1, 0, 0)] == [0, 0.5, 1]
