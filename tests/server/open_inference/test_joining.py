"""Works that are one request."""

from __future__ import annotations

from typing import Any

import pytest

from spyglass_contract.errors import ImageError, InternalError, LimitExceeded
from spyglass_server.engine.call import Call
from spyglass_server.open_inference.joining import start_all

Outcome = tuple[object, Exception | None]


class Held:
    """An engine that holds the works until a test ends them."""

    def __init__(self) -> None:
        self.works: list[tuple[object, Call, Any]] = []

    def start(self, work: object, call: Call, done: Any) -> None:
        self.works.append((work, call, done))

    def end(self, number: int, response: object = None, error: Exception | None = None) -> None:
        self.works[number][2](response, error)


@pytest.fixture
def held() -> Held:
    return Held()


def start(held: Held, count: int, call: Call | None = None, join: Any = tuple) -> list[Outcome]:
    """Start `count` works, and return the list of what `done` gets."""
    outcomes: list[Outcome] = []
    works: Any = [f"work {number}" for number in range(count)]
    engine: Any = held
    start_all(
        engine,
        works,
        call or Call(),
        [None] * count,
        join,
        lambda response, error: outcomes.append((response, error)),
    )
    return outcomes


def test_the_response_comes_with_the_last_work_in_the_order_of_the_works(held: Held) -> None:
    outcomes = start(held, 3)
    for number in (2, 0):
        held.end(number, number)
    assert outcomes == []

    held.end(1, 1)
    assert outcomes == [((0, 1, 2), None)]


def test_the_first_error_ends_the_request_and_cancels_the_others(held: Held) -> None:
    outcomes = start(held, 3)
    held.end(0, 0)
    held.end(1, error=InternalError("broken"))
    held.end(2, error=InternalError("broken, too"))

    ((response, error),) = outcomes
    assert response is None and str(error) == "broken"
    assert all(call.cancelled or call._whole.cancelled for _, call, _ in held.works)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImageError("is empty", reason="IMAGE_MISSING", field="image"), "image 2 of 2: is empty"),
        (LimitExceeded("is large", field="image"), "image 2 of 2: is large"),
        (LimitExceeded("are many", field="outputs"), "are many"),
    ],
)
def test_an_error_of_an_image_says_which_one(held: Held, error: Any, message: str) -> None:
    outcomes = start(held, 2)
    held.end(1, error=error)

    found: Any = outcomes[0][1]
    assert (type(found), found.message, found.reason) == (type(error), message, error.reason)


def test_a_join_that_fails_is_the_error_of_the_request(held: Held) -> None:
    def fails(responses: object) -> object:
        raise InternalError("not joined")

    outcomes = start(held, 1, join=fails)
    held.end(0, 0)
    assert str(outcomes[0][1]) == "not joined"


def test_an_error_before_all_works_have_started_is_given_once(held: Held) -> None:
    begin = held.start

    def start_and_fail(work: object, call: Call, done: Any) -> None:
        begin(work, call, done)
        call.remaining()
        held.end(0, error=InternalError("broken"))
        call.remaining()

    held.start = start_and_fail  # type: ignore[method-assign]
    outcomes = start(held, 3)

    assert [str(error) for _, error in outcomes] == ["broken"]
    assert len(held.works) == 1


def test_a_part_ends_with_its_call_and_can_end_alone() -> None:
    whole = Call(patient=False)
    part, other = whole.part(patient=True), whole.part()
    assert (part.patient, other.patient) == (True, False)
    ended: list[str] = []
    part.on_cancel(lambda: ended.append("part"))
    other.on_cancel(lambda: ended.append("other"))

    part.cancel()
    assert ended == ["part"] and not whole.cancelled
    whole.cancel()
    assert "other" in ended
