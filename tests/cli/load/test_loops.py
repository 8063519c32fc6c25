"""Closed and open loops against a transport whose times are known."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyResponse
from spyglass_cli.load import open_loop
from spyglass_cli.load.closed_loop import run_closed_loop
from spyglass_cli.load.loads import ClosedLoop, OpenLoop
from spyglass_cli.load.open_loop import TOO_MANY_OUTSTANDING, run_open_loop
from spyglass_cli.load.recording import ANSWERED, Record
from spyglass_cli.load.work import Work
from spyglass_client import AsyncClient, Client, Overloaded, ResponseStream, Retry

WORK = Work((b"one", b"two"))


class Slow:
    """Answers after `seconds`, and refuses every request whose number is in `refused`."""

    def __init__(self, seconds: float, refused: frozenset[int] = frozenset()) -> None:
        self.seconds = seconds
        self.refused = refused
        self.sent: list[bytes] = []
        self.most = 0
        self._under_way = 0
        self._lock = threading.Lock()

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        with self._lock:
            number = len(self.sent)
            self.sent.append(request.image.encoded)  # type: ignore[attr-defined]
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        time.sleep(self.seconds)
        with self._lock:
            self._under_way -= 1
        if number in self.refused:
            raise Overloaded("full")
        return ClassifyResponse()

    def stream(self, method: str, requests: Iterator[Message]) -> ResponseStream:
        raise NotImplementedError

    def close(self) -> None:
        pass


def closed(transport: Slow, concurrency: int, seconds: float) -> Record:
    begin = time.monotonic()
    with Client(transport=transport, retry=Retry(attempts=1)) as client:
        return run_closed_loop(client, WORK, ClosedLoop(concurrency), begin, begin + seconds)


def opened(transport: Slow, rate: float, *, warm_up: float = 0.0, seconds: float = 1.0) -> Record:
    async def run() -> Record:
        start = time.monotonic()
        async with AsyncClient(transport=transport, retry=Retry(attempts=1)) as client:
            load = OpenLoop(rate, "even")
            begin = start + warm_up
            return await run_open_loop(client, WORK, load, start, begin, begin + seconds)

    return asyncio.run(run())


def test_a_closed_loop_has_as_many_requests_under_way_as_callers() -> None:
    transport = Slow(0.02)
    record = closed(transport, 3, 0.3)
    assert transport.most == 3
    assert record.failed.count == 0
    # The last response of each caller may come after the end.
    assert len(transport.sent) - 3 <= record.answered.count <= len(transport.sent)
    shortest = record.answered.percentile(1)
    assert shortest is not None and shortest >= 0.0199


def test_errors_are_counted_by_their_reason_and_not_sent_again() -> None:
    transport = Slow(0.01, frozenset({0, 2}))
    record = closed(transport, 1, 0.2)
    assert record.codes["QUEUE_FULL"] == 2
    assert record.codes[ANSWERED] == record.answered.count > 0


def test_images_are_sent_by_turns() -> None:
    transport = Slow(0.005)
    closed(transport, 1, 0.1)
    assert transport.sent[:4] == [b"one", b"two", b"one", b"two"]


@pytest.mark.slow
def test_an_open_loop_does_not_wait_for_responses() -> None:
    transport = Slow(0.2)
    record = opened(transport, 20, seconds=0.5)
    assert record.codes == {ANSWERED: 10}
    assert transport.most >= 3


@pytest.mark.slow
def test_requests_of_the_warm_up_do_not_count() -> None:
    transport = Slow(0.001)
    record = opened(transport, 40, warm_up=0.25, seconds=0.5)
    assert len(transport.sent) == 30
    assert record.codes == {ANSWERED: 20}


def test_time_counts_from_when_a_request_was_due() -> None:
    transport = Slow(0.0)
    record = Record()

    async def run() -> None:
        start = time.monotonic()
        async with AsyncClient(transport=transport, retry=Retry(attempts=1)) as client:
            task = asyncio.create_task(
                run_open_loop(client, WORK, OpenLoop(100, "even"), start, start, start + 0.3)
            )
            await asyncio.sleep(0.05)
            # The client process is held up, as by another one on its processor.
            time.sleep(0.2)
            record.merge(await task)

    asyncio.run(run())
    assert record.codes == {ANSWERED: 30}
    late, slowest = record.late.percentile(100), record.answered.percentile(100)
    assert late is not None and late >= 0.15
    assert slowest is not None and slowest >= late


def test_a_client_that_is_full_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "MOST_OUTSTANDING", 2)
    record = opened(Slow(0.3), 20, seconds=0.25)
    assert record.codes == {ANSWERED: 2, TOO_MANY_OUTSTANDING: 3}
