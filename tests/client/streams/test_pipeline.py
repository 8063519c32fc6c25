"""`classify_many` without a connection: order, window, retries and deadlines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.image_pb2 import Image
from spyglass_client._options import Retry
from spyglass_client._results.classifications import Classification, Failure, read_classification
from spyglass_client._streams.pipeline import MESSAGE_TOO_LARGE, Give, Pipeline, Send, Stop, Take, Wait
from spyglass_contract import errors
from statuses import to_status

STEADY = Retry(attempts=3, initial_backoff=1.0, max_backoff=1.0, jitter=0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Pipeline]:
    def pipeline(count: int, *, window: int = 8, seconds: float | None = 10.0) -> Pipeline:
        """Return a pipeline that has sent `count` images of one, two, three … bytes and waits for replies."""
        made = Pipeline(read=read, window=window, retry=STEADY, seconds=seconds, clock=clock)
        for number in range(count):
            made.take(ClassifyRequest(image=Image(encoded=b"x" * (number + 1))))
        made.take(None)
        for number in range(count):
            assert sent(made.step()) == str(number)
        return made

    return pipeline


def sent(step: object) -> str:
    assert isinstance(step, Send)
    return step.request.id


def result_of(step: object) -> Classification | Failure:
    assert isinstance(step, Give)
    return step.result


def read(request: ClassifyRequest, reply: ClassifyResponse) -> Classification | Failure:
    return read_classification(reply)


def reply(number: int) -> ClassifyResponse:
    return ClassifyResponse(index=number, id=str(number))


def refusal(number: int, error: errors.SpyglassError) -> ClassifyResponse:
    return ClassifyResponse(index=number, id=str(number), error=to_status(error, "request-7"))


@given(order=st.permutations(range(6)))
def test_results_keep_the_order_of_the_images_for_any_order_of_responses(order: list[int]) -> None:
    pipeline = Pipeline(read=read, window=6, retry=STEADY, seconds=None)
    for _ in order:
        pipeline.take(ClassifyRequest())
    pipeline.take(None)
    assert [sent(pipeline.step()) for _ in order] == list("012345")
    for number in order:
        pipeline.receive(reply(number))
    assert [result_of(pipeline.step()).id for _ in order] == list("012345")
    assert pipeline.step() == Stop()


def test_no_more_images_are_taken_than_the_window_holds() -> None:
    pipeline = Pipeline(read=read, window=2, retry=STEADY, seconds=None)
    for _ in range(2):
        pipeline.receive(None)
        assert pipeline.step() == Take()
        pipeline.take(ClassifyRequest())
        pipeline.step()
    pipeline.receive(reply(1))
    assert pipeline.step() == Wait(None)
    pipeline.receive(reply(0))
    assert result_of(pipeline.step()).id == "0"
    pipeline.receive(None)
    assert result_of(pipeline.step()).id == "1"
    assert pipeline.step() == Take()


def test_received_responses_are_handled_before_more_images_are_taken() -> None:
    pipeline = Pipeline(read=read, window=4, retry=STEADY, seconds=None)
    assert pipeline.step() == Wait(0)
    pipeline.receive(None)
    assert pipeline.step() == Take()
    pipeline.take(ClassifyRequest())
    pipeline.step()
    assert pipeline.step() == Wait(0)
    pipeline.receive(reply(0))
    assert result_of(pipeline.step()).id == "0"


def test_a_window_of_zero_images_is_rejected() -> None:
    with pytest.raises(ValueError, match="window"):
        Pipeline(read=read, window=0, retry=STEADY, seconds=None)


def test_an_image_that_cannot_be_read_fails_in_its_place(make: Callable[..., Pipeline]) -> None:
    pipeline = Pipeline(read=read, window=3, retry=STEADY, seconds=None)
    pipeline.take(ClassifyRequest())
    pipeline.take(errors.ImageError("unreadable"))
    pipeline.take(None)
    pipeline.step()
    pipeline.receive(reply(0))
    assert result_of(pipeline.step()).error is None
    assert isinstance(result_of(pipeline.step()).error, errors.ImageError)


def test_an_image_that_the_server_refuses_fails_at_once(make: Callable[..., Pipeline]) -> None:
    pipeline = make(1)
    pipeline.receive(refusal(0, errors.ImageError("cut off", reason="IMAGE_TRUNCATED")))
    error = result_of(pipeline.step()).error
    assert error is not None
    assert error.reason == "IMAGE_TRUNCATED"


def test_an_image_that_a_full_server_refused_is_sent_again_after_the_time_that_it_gave(
    make: Callable[..., Pipeline], clock: Clock
) -> None:
    pipeline = make(1)
    pipeline.receive(refusal(0, errors.Overloaded("full", retry_after=2.0)))
    assert pipeline.step() == Wait(3.0)
    clock.now += 3.0
    pipeline.receive(None)
    assert sent(pipeline.step()) == "0"


def test_an_image_fails_when_its_attempts_are_used_up(make: Callable[..., Pipeline], clock: Clock) -> None:
    pipeline = make(1)
    for _ in range(2):
        pipeline.receive(refusal(0, errors.Unavailable("draining")))
        clock.now += 1.0
        sent(pipeline.step())
    pipeline.receive(refusal(0, errors.Unavailable("draining")))
    assert isinstance(result_of(pipeline.step()), Failure)


def test_an_image_is_not_delayed_past_its_deadline(make: Callable[..., Pipeline]) -> None:
    pipeline = make(1, seconds=2.0)
    pipeline.receive(refusal(0, errors.Overloaded("full", retry_after=5.0)))
    assert isinstance(result_of(pipeline.step()).error, errors.Overloaded)


def test_an_image_past_its_deadline_fails_and_its_late_response_is_dropped(
    make: Callable[..., Pipeline], clock: Clock
) -> None:
    pipeline = make(2, seconds=5.0)
    assert pipeline.step() == Wait(5.0)
    clock.now += 5.0
    pipeline.receive(reply(1))
    pipeline.receive(None)
    pipeline.receive(reply(0))
    assert isinstance(result_of(pipeline.step()).error, errors.DeadlineExceeded)
    assert result_of(pipeline.step()).error is None


def test_images_without_a_response_are_sent_again_after_the_stream_broke(
    make: Callable[..., Pipeline], clock: Clock
) -> None:
    pipeline = make(3)
    pipeline.receive(reply(1))
    pipeline.receive(errors.Unavailable("gone"))
    assert pipeline.step() == Wait(1.0)
    clock.now += 1.0
    assert [sent(pipeline.step()) for _ in range(2)] == ["0", "2"]


def test_a_stream_that_breaks_again_and_again_raises(make: Callable[..., Pipeline]) -> None:
    pipeline = make(1)
    pipeline.receive(errors.Unavailable("gone"))
    pipeline.receive(errors.Unavailable("gone"))
    with pytest.raises(errors.Unavailable):
        pipeline.receive(errors.Unavailable("gone"))


def test_a_response_between_two_breaks_resets_the_count(make: Callable[..., Pipeline]) -> None:
    pipeline = make(4)
    for number in range(3):
        pipeline.receive(errors.Unavailable("gone"))
        pipeline.receive(errors.Unavailable("gone"))
        pipeline.receive(reply(number))
    assert result_of(pipeline.step()).id == "0"


def test_an_error_that_a_retry_cannot_help_is_raised_at_once(make: Callable[..., Pipeline]) -> None:
    with pytest.raises(errors.Unauthenticated):
        make(1).receive(errors.Unauthenticated("no token"))


def test_if_a_message_is_too_large_only_the_largest_image_fails(make: Callable[..., Pipeline]) -> None:
    pipeline = make(3)
    pipeline.receive(errors.LimitExceeded("too large", reason=MESSAGE_TOO_LARGE))
    assert [sent(pipeline.step()) for _ in range(2)] == ["0", "1"]
    pipeline.receive(reply(0))
    pipeline.receive(reply(1))
    outcomes = [result_of(pipeline.step()) for _ in range(3)]
    assert [type(outcome.error) for outcome in outcomes] == [type(None), type(None), errors.LimitExceeded]


def test_progress_counts_results_and_failures(clock: Clock) -> None:
    counted: list[int] = []
    pipeline = Pipeline(read=read, window=2, retry=STEADY, seconds=None, progress=counted.append)
    pipeline.take(errors.ImageError("unreadable"))
    pipeline.take(errors.ImageError("unreadable"))
    pipeline.step()
    pipeline.step()
    assert counted == [1, 2]


def test_a_stream_that_ends_without_open_images_is_not_an_error(clock: Clock) -> None:
    """A server may end a stream whose caller is slow to find its next image."""
    pipeline = Pipeline(read=read, window=2, retry=Retry(attempts=1), seconds=10, clock=clock)
    pipeline.take(ClassifyRequest())
    assert sent(pipeline.step()) == "0"
    pipeline.receive(reply(0))
    result_of(pipeline.step())
    clock.now += 1000
    pipeline.receive(errors.DeadlineExceeded("the stream was idle"))
    pipeline.take(ClassifyRequest())
    assert sent(pipeline.step()) == "1"


PERSISTENT = Retry(initial_backoff=1.0, max_backoff=1.0, jitter=0)
UNREACHABLE = errors.Unavailable("nobody listens", reason="UNREACHABLE")


def test_the_stream_ends_if_the_server_is_silent_for_the_timeout_of_an_image(clock: Clock) -> None:
    pipeline = Pipeline(read=read, window=2, retry=PERSISTENT, seconds=10, clock=clock)
    for _ in range(2):
        pipeline.take(ClassifyRequest())
    attempts = 0
    with pytest.raises(errors.Unavailable):
        while True:
            assert [sent(pipeline.step()), sent(pipeline.step())] == ["0", "1"]
            attempts += 1
            clock.now += 0.25
            pipeline.receive(UNREACHABLE)
            clock.now += 1.0
    # From 100 to before 110, with 1.25 from one to the next.
    assert attempts == 8


def test_a_response_restarts_the_time_of_silence(clock: Clock) -> None:
    pipeline = Pipeline(read=read, window=1, retry=PERSISTENT, seconds=10, clock=clock)
    for number in range(5):
        pipeline.take(ClassifyRequest())
        for _ in range(7):
            assert sent(pipeline.step()) == str(number)
            pipeline.receive(UNREACHABLE)
            clock.now += 1
        assert sent(pipeline.step()) == str(number)
        pipeline.receive(reply(number))
        assert result_of(pipeline.step())


def test_without_a_timeout_a_stream_waits_for_a_server_without_limit(clock: Clock) -> None:
    pipeline = Pipeline(read=read, window=1, retry=PERSISTENT, seconds=None, clock=clock)
    pipeline.take(ClassifyRequest())
    for _ in range(3000):
        assert sent(pipeline.step()) == "0"
        pipeline.receive(UNREACHABLE)
        clock.now += 1
    assert sent(pipeline.step()) == "0"


def test_a_request_has_the_time_that_is_left(clock: Clock) -> None:
    pipeline = Pipeline(read=read, window=2, retry=STEADY, seconds=10.0, clock=clock)
    pipeline.take(ClassifyRequest())
    clock.now += 2.5
    first = pipeline.step()
    assert isinstance(first, Send) and first.request.timeout.ToMilliseconds() == 7500
    pipeline.receive(errors.Unavailable("the connection broke"))
    clock.now += 1.0
    again = pipeline.step()
    assert isinstance(again, Send) and again.request.timeout.ToMilliseconds() == 6500


@pytest.mark.parametrize("seconds", [None, 1e12, float("inf")])
def test_without_a_limit_a_request_has_no_timeout(seconds: float | None) -> None:
    pipeline = Pipeline(read=read, window=2, retry=STEADY, seconds=seconds)
    pipeline.take(ClassifyRequest())
    step = pipeline.step()
    assert isinstance(step, Send) and not step.request.HasField("timeout")


def test_a_response_is_matched_by_its_index_alone(make: Callable[..., Pipeline]) -> None:
    pipeline = make(2)
    pipeline.receive(ClassifyResponse(index=1, id="0"))
    assert isinstance(pipeline.step(), Wait)
    pipeline.receive(ClassifyResponse(index=0, id="0"))
    assert [result_of(pipeline.step()).id for _ in range(2)] == ["0", "0"]
