"""Many requests over one call: in parallel, in the order in which they complete, within the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Barrier, Event, Lock

import pytest

from spyglass_server.request_id import current_request_id, using_request_id
from spyglass_server.streams import map_side_by_side

PATIENCE = 30
Eventually = Callable[[Callable[[], bool]], None]


class Sender:
    """Requests 0, 1, 2, … that count how many were read."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self.read = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        number = next(self._numbers)
        self.read += 1
        return number


def test_each_request_gets_its_response() -> None:
    assert sorted(map_side_by_side(lambda number: number * 2, Sender(100), window=4)) == list(
        range(0, 200, 2)
    )


def test_without_requests_there_are_no_responses() -> None:
    assert list(map_side_by_side(lambda number: number, Sender(0), window=4)) == []


def test_requests_run_in_parallel() -> None:
    together = Barrier(3)

    def respond(number: int) -> int:
        together.wait(PATIENCE)
        return number

    assert sorted(map_side_by_side(respond, Sender(3), window=3)) == [0, 1, 2]


def test_responses_come_in_the_order_in_which_they_complete() -> None:
    go_on = Event()

    def respond(number: int) -> int:
        assert number or go_on.wait(PATIENCE)
        return number

    replies = map_side_by_side(respond, Sender(2), window=2)

    assert next(replies) == 1
    go_on.set()
    assert list(replies) == [0]


def test_responses_come_in_the_order_of_their_requests_if_wanted() -> None:
    go_on, second = Event(), Event()

    def respond(number: int) -> int:
        if number == 0:
            assert go_on.wait(PATIENCE)
        elif number == 1:
            second.set()
        return number

    replies = map_side_by_side(respond, Sender(50), window=4, ordered=True)
    threading.Thread(target=lambda: second.wait(PATIENCE) and go_on.set()).start()

    assert list(replies) == list(range(50))


def test_no_more_than_the_window_is_read_while_responses_are_not_taken(eventually: Eventually) -> None:
    sender = Sender(1000)

    with closing(map_side_by_side(lambda number: number, sender, window=5)) as replies:
        next(replies)
        # One was taken: the generator continues, and frees its place, when the caller requests the next.
        eventually(lambda: sender.read == 5)
        next(replies)
        eventually(lambda: sender.read == 6)

    assert sender.read <= 7


def test_no_more_requests_are_in_work_than_the_window() -> None:
    lock, inside, most = Lock(), 0, 0

    def respond(number: int) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        with lock:
            inside -= 1
        return number

    assert len(list(map_side_by_side(respond, Sender(300), window=3))) == 300
    assert most <= 3


def test_closing_ends_the_reading_and_the_threads(eventually: Eventually) -> None:
    before = set(threading.enumerate())
    sender = Sender(1000)

    with closing(map_side_by_side(lambda number: number, sender, window=4)) as replies:
        next(replies)

    assert sender.read < 10
    eventually(lambda: set(threading.enumerate()) <= before)


def test_a_sender_that_fails_ends_the_responses_after_those_of_its_requests() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise Exception("the connection was reset")

    assert sorted(map_side_by_side(lambda number: number, broken(), window=4)) == [0, 1, 2]


@pytest.mark.parametrize("window", [1, 8])
def test_each_request_knows_the_request_id_of_the_call(window: int) -> None:
    with using_request_id("id-1"):
        ids = list(map_side_by_side(lambda number: current_request_id(), Sender(10), window=window))

    assert ids == ["id-1"] * 10
