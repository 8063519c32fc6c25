"""Streams against a transport whose times and failures are known."""

from __future__ import annotations

import time
from collections.abc import Iterator

from google.protobuf.message import Message
from google.rpc.status_pb2 import Status

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass_cli.load.loads import StreamLoop
from spyglass_cli.load.recording import ANSWERED, Record
from spyglass_cli.load.stream_loop import run_stream_loop
from spyglass_cli.load.work import Work
from spyglass_client import Client, Overloaded, Retry

WORK = Work((b"one", b"two"))


class Streams:
    """Answers each image after `seconds`; `bad` are the images that fail, and `ends_after` ends a stream."""

    def __init__(self, seconds: float, bad: bytes = b"", ends_after: int | None = None) -> None:
        self.seconds = seconds
        self.bad = bad
        self.ends_after = ends_after
        self.sent: list[bytes] = []
        self.opened = 0

    def send(self, method: str, request: Message, timeout: float | None) -> Message:
        raise NotImplementedError

    def stream(self, method: str, requests: Iterator[Message]) -> Responses:
        assert method == "Classify"
        self.opened += 1
        return Responses(self, requests)

    def close(self) -> None:
        pass


class Responses:
    """The responses of one stream."""

    def __init__(self, streams: Streams, requests: Iterator[Message]) -> None:
        self._streams = streams
        self._requests = requests

    def __iter__(self) -> Iterator[Message]:
        for number, request in enumerate(self._requests):
            assert isinstance(request, ClassifyRequest)
            if number == self._streams.ends_after:
                raise Overloaded("too many streams", reason="TOO_MANY_STREAMS")
            self._streams.sent.append(request.image.encoded)
            time.sleep(self._streams.seconds)
            response = ClassifyResponse(id=request.id, index=request.index)
            if request.image.encoded == self._streams.bad:
                response.error.CopyFrom(Status(code=3, message="not an image"))
            yield response

    def cancel(self) -> None:
        pass


def run(transport: Streams, streams: int, seconds: float, *, window: int = 1) -> Record:
    begin = time.monotonic()
    with Client(transport=transport, retry=Retry(attempts=1)) as client:
        return run_stream_loop(client, WORK, StreamLoop(streams, window), begin, begin + seconds)


def test_each_message_has_its_own_time() -> None:
    transport = Streams(0.02)
    record = run(transport, 1, 0.3)
    # The last result may come after the end.
    assert len(transport.sent) - 1 <= record.codes[ANSWERED] <= len(transport.sent)
    shortest = record.answered.percentile(1)
    assert shortest is not None and shortest >= 0.0199


def test_the_window_is_under_way_together() -> None:
    record = run(Streams(0.02), 1, 0.4, window=4)
    # With four under way and one answered at a time, an image waits for those before it.
    median = record.answered.percentile(50)
    assert median is not None and median >= 0.06


def test_streams_run_side_by_side_and_images_are_sent_by_turns() -> None:
    transport = Streams(0.02)
    run(transport, 3, 0.2)
    assert transport.opened == 3
    assert abs(transport.sent.count(b"one") - transport.sent.count(b"two")) <= 3


def test_an_image_that_fails_counts_and_the_stream_goes_on() -> None:
    transport = Streams(0.005, bad=b"two")
    record = run(transport, 1, 0.2)
    assert transport.opened == 1
    assert record.codes[ANSWERED] > 1
    assert record.failed.count > 1
    assert record.failed.count == sum(record.codes.values()) - record.codes[ANSWERED]


def test_a_stream_that_the_server_ends_counts_as_an_error_and_is_opened_again() -> None:
    transport = Streams(0.005, ends_after=3)
    record = run(transport, 1, 0.5)
    assert transport.opened >= 2
    assert record.codes["TOO_MANY_STREAMS"] >= 1
    assert record.codes[ANSWERED] >= 3
