"""Which connections end in favour of others."""

from __future__ import annotations

from typing import Any, cast

import pytest

from spyglass_server.http.crowd import Crowd


class Transport:
    """A connection that counts nothing but its end."""

    def __init__(self, unread: int = 0) -> None:
        self.unread = unread
        self.ended = False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.ended = True


@pytest.fixture
def crowd() -> Any:
    """A crowd of at most two connections, whose unread responses may have 100 bytes."""
    return cast(Any, Crowd(most_connections=2, bytes_in_flight=400))


def test_the_connection_that_is_idle_for_longest_ends(crowd: Any) -> None:
    first, second, third = Transport(), Transport(), Transport()
    crowd.enter(first, 1)
    crowd.enter(second, 2)
    crowd.work(first)
    crowd.rest(first)
    crowd.enter(third, 3)

    assert [first.ended, second.ended, third.ended] == [False, True, False]


def test_a_connection_with_a_request_does_not_end(crowd: Any) -> None:
    first, second, third = Transport(), Transport(), Transport()
    for number, one in enumerate((first, second), 1):
        crowd.enter(one, number)
        crowd.work(one)
    crowd.enter(third, 3)

    assert [first.ended, second.ended, third.ended] == [False, False, True]


def test_the_earliest_of_those_that_do_not_read_ends(crowd: Any) -> None:
    first, second, third = Transport(60), Transport(30), Transport(30)
    for one in (first, second, third):
        crowd.unread(one)

    assert [first.ended, second.ended, third.ended] == [True, False, False]


def test_one_large_response_may_exceed_the_limit(crowd: Any) -> None:
    only = Transport(1000)
    crowd.unread(only)

    assert not only.ended


def test_what_was_read_is_forgotten(crowd: Any) -> None:
    first, second = Transport(60), Transport(60)
    crowd.unread(first)
    crowd.read(first)
    crowd.unread(second)
    crowd.leave(second)
    crowd.unread(Transport(60))

    assert not first.ended and not second.ended
