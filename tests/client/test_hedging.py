"""Hedged requests: of several attempts at the same time the first response wins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Timer
from typing import Any

import pytest

import spyglass_client as sc
from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass.v1.model_pb2 import ListModelsResponse
from spyglass.v1.reply_pb2 import ClassScore

Connect = Callable[..., Any]

LATE = "late"
HEDGING = sc.Hedging(delay=0.01)


def response(name: str, request_id: str = "") -> ClassifyResponse:
    return ClassifyResponse(id=request_id, classes=[ClassScore(index=1, name=name, score=0.5)])


class Attempts:
    """A transport whose attempts end as the test says, in their order: a class, an error, or never."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self._outcomes = list(outcomes)
        self.started: list[Future[Any]] = []
        self.timeouts: list[float | None] = []
        self.after_start: Callable[[], object] = lambda: None

    def start(self, method: str, request: Any, timeout: float | None) -> Future[Any]:
        future: Future[Any] = Future()
        self.started.append(future)
        self.timeouts.append(timeout)
        outcome = self._outcomes.pop(0) if self._outcomes else "unexpected"
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        elif outcome != LATE:
            future.set_result(response(outcome, request.id))
        self.after_start()
        return future

    def end_the_last(self) -> None:
        """Respond to the last attempt."""
        self.started[-1].set_result(response("late"))

    def send(self, method: str, request: Any, timeout: float | None) -> Any:
        return self.start(method, request, timeout).result()

    def stream(self, method: str, requests: Iterator[Any]) -> Any:
        raise AssertionError("no stream")

    def close(self) -> None: ...

    def end_with_no_models(self) -> None:
        """Respond to the last attempt, which asks for the models."""
        self.started[-1].set_result(ListModelsResponse())

    @property
    def cancelled(self) -> list[bool]:
        return [future.cancelled() for future in self.started]


@pytest.fixture
def over(connect: Connect) -> Callable[..., Any]:
    """Connect a client of either kind over a transport: `over(transport)`."""

    def make(transport: Attempts, **options: Any) -> Any:
        return connect(sc.DEFAULT_TARGET, transport=transport, **{"hedging": HEDGING, **options})

    return make


def test_if_the_response_is_late_a_second_attempt_wins_and_the_first_is_cancelled(
    over: Callable[..., Any],
) -> None:
    transport = Attempts(LATE, "second")
    result = over(transport).classify(b"image", id="one")
    assert (result.best.name, result.id) == ("second", "one")
    assert transport.cancelled == [True, False]


def test_a_response_within_the_delay_needs_one_attempt(over: Callable[..., Any]) -> None:
    transport = Attempts("first")
    assert over(transport, hedging=sc.Hedging(30)).classify(b"image").best.name == "first"
    assert len(transport.started) == 1


def test_no_more_attempts_run_at_the_same_time_than_allowed(over: Callable[..., Any]) -> None:
    transport = Attempts(LATE, LATE, LATE)

    def end_after_a_while() -> None:
        if len(transport.started) == 3:
            Timer(5 * HEDGING.delay, transport.end_the_last).start()

    transport.after_start = end_after_a_while
    result = over(transport, hedging=sc.Hedging(HEDGING.delay, at_most=3)).classify(b"image")
    assert result.best.name == "late"
    assert transport.cancelled == [True, True, False]


def test_an_unavailable_server_leaves_it_to_the_other_attempts(over: Callable[..., Any]) -> None:
    transport = Attempts(LATE, sc.Unavailable("down"), "third")
    hedging = sc.Hedging(delay=0.01, at_most=3)
    assert over(transport, hedging=hedging).classify(b"image").best.name == "third"
    assert transport.cancelled == [True, False, False]


def test_an_error_of_the_request_ends_all_attempts(over: Callable[..., Any]) -> None:
    transport = Attempts(LATE, sc.NotFound("no such model"))
    with pytest.raises(sc.NotFound):
        over(transport).classify(b"image")
    assert transport.cancelled == [True, False]


def test_if_all_attempts_fail_the_client_retries(over: Callable[..., Any]) -> None:
    transport = Attempts(sc.Unavailable("down"), sc.Unavailable("down"), "third")
    assert over(transport).classify(b"image").best.name == "third"
    assert transport.cancelled == [False] * 3


def test_each_further_attempt_takes_a_token_of_the_budget(over: Callable[..., Any]) -> None:
    retry = sc.Retry(attempts=1, budget=sc.RetryBudget(ratio=0, per_second=0, burst=1))
    transport = Attempts(LATE, "second", LATE)
    client = over(transport, retry=retry)
    assert client.classify(b"image").best.name == "second"
    # The budget is empty: there is no further attempt, although the response is late.
    transport.after_start = lambda: Timer(4 * HEDGING.delay, transport.end_the_last).start()
    assert client.classify(b"image").best.name == "late"
    assert len(transport.started) == 3


def test_all_attempts_have_the_deadline_of_the_call(over: Callable[..., Any]) -> None:
    transport = Attempts(LATE, "second")
    over(transport).classify(b"image", timeout=60)
    first, second = transport.timeouts
    assert first is not None
    assert second is not None
    assert first - 30 < second <= first - HEDGING.delay


def test_calls_without_an_image_are_not_hedged(over: Callable[..., Any]) -> None:
    transport = Attempts(LATE)
    transport.after_start = lambda: Timer(5 * HEDGING.delay, transport.end_with_no_models).start()
    assert over(transport).models() == ()
    assert len(transport.started) == 1


async def test_a_cancelled_task_cancels_all_attempts() -> None:
    transport = Attempts(LATE, LATE)
    async with sc.AsyncClient(transport=transport, hedging=HEDGING) as client:
        task = asyncio.create_task(client.classify(b"image"))
        while len(transport.started) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert transport.cancelled == [True, True]
