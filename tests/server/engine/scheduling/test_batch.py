"""One batch: every job of it ends, and one that fails ends alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_contract.errors import Cancelled, DeadlineExceeded, ImageError, InternalError
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.batch import run_batch
from spyglass_server.engine.scheduling.job import Job
from spyglass_server.engine.work import Further, Inferred
from spyglass_server.request_id import current_request_id
from works import prepared_of

Pixels = NDArray[np.uint8]
MakeWork = Callable[..., Any]


class Batch:
    """Jobs that run together, and what became of each."""

    def __init__(self, works: list[Any], calls: dict[int, Call] | None = None) -> None:
        self.outcomes: dict[int, tuple[Any, Exception | None]] = {}
        self.jobs = [self._job(n, work, (calls or {}).get(n, Call())) for n, work in enumerate(works)]
        self._works = works

    def _job(self, number: int, work: Any, call: Call) -> Job:
        def done(response: object, error: Exception | None) -> None:
            assert number not in self.outcomes
            self.outcomes[number] = (response, error)

        return Job(work, call, done, 1.0, lambda job: None)

    def run(self) -> list[Any]:
        """Run the batch, and return each job's output, error, or None if it has not ended."""
        run_batch(list(zip(self.jobs, self._works, strict=True)))
        ended = [self.outcomes.get(number, (None, None)) for number in range(len(self.jobs))]
        return [
            error or (response.output if isinstance(response, Inferred) else response)
            for response, error in ended
        ]


def fails(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def spoiled_by(value: int, run: Callable[[Pixels], Any]) -> Callable[[Pixels], Any]:
    """Return a run that fails if there is an image of this value in its batch."""

    def spoiled(pixels: Pixels) -> Any:
        outputs = run(pixels)
        if value in pixels:
            raise RuntimeError("kernel failed")
        return outputs

    return spoiled


def test_each_image_of_a_batch_gets_its_own_output(work: MakeWork, run: Any) -> None:
    assert Batch([work(value) for value in (3, 1, 2)]).run() == [6, 2, 4]
    assert run.batches == [[3, 1, 2]]


def test_a_response_has_the_times_and_the_size_of_its_batch(work: MakeWork) -> None:
    def slowly() -> Any:
        time.sleep(0.02)
        return prepared_of(np.zeros((2, 2, 1), np.uint8))

    batch = Batch([work(1), work(prepare=slowly)])
    queued = time.monotonic() - 0.5
    for job in batch.jobs:
        job.queued = queued
    batch.run()
    first, second = (response for response, _ in batch.outcomes.values())

    assert first.batch_size == second.batch_size == 2
    assert 500 <= first.queue_ms < 5000
    assert first.decode_ms < 20 <= second.decode_ms
    assert first.inference_ms == second.inference_ms > 0


def test_images_that_cannot_be_decoded_fail_alone(work: MakeWork, run: Any) -> None:
    error = ImageError("not an image")

    assert Batch([work(1), work(prepare=fails(error)), work(3)]).run() == [2, error, 6]
    assert run.batches == [[1, 3]]


def test_a_batch_without_any_image_does_not_run(work: MakeWork, run: Any) -> None:
    error = ImageError("not an image")

    assert Batch([work(prepare=fails(error))] * 2).run() == [error, error]
    assert run.batches == []


def test_after_a_failure_each_image_runs_alone(work: MakeWork, run: Any) -> None:
    spoiled = spoiled_by(13, run)
    first, failed, third = Batch([work(value, run=spoiled) for value in (1, 13, 3)]).run()

    assert (first, third) == (2, 6)
    assert isinstance(failed, RuntimeError)
    assert run.batches == [[1, 13, 3], [1], [13], [3]]


def test_an_image_that_fails_alone_is_not_run_again(work: MakeWork, run: Any) -> None:
    (failed,) = Batch([work(13, run=spoiled_by(13, run))]).run()

    assert isinstance(failed, RuntimeError)
    assert run.batches == [[13]]


def test_images_of_different_shapes_run_one_by_one(work: MakeWork, run: Any) -> None:
    large = prepared_of(np.full((4, 4, 1), 5, np.uint8))

    assert Batch([work(1), work(prepare=lambda: large)]).run() == [2, 10]
    assert run.batches == [[1], [5]]


@pytest.mark.parametrize("change", [lambda outputs: outputs[:1], lambda outputs: [*outputs, 0]])
def test_another_number_of_outputs_is_a_failure(work: MakeWork, run: Any, change: Callable[..., Any]) -> None:
    def wrong(pixels: Pixels) -> Any:
        outputs = run(pixels)
        return change(outputs) if len(pixels) > 1 else outputs

    assert Batch([work(1, run=wrong), work(2, run=wrong)]).run() == [2, 4]
    assert run.batches == [[1, 2], [1], [2]]


def test_an_output_that_its_response_refuses_fails_alone(work: MakeWork) -> None:
    error = InternalError("not finite")
    batch = Batch([work(1), work(2, respond=fails(error)), work(3)])

    assert batch.run() == [2, error, 6]


def late(call: Call) -> None:
    call.deadline = 0.0


@pytest.mark.parametrize(("over", "error"), [(Call.cancel, Cancelled), (late, DeadlineExceeded)])
def test_a_call_that_is_over_never_reaches_the_network(
    work: MakeWork, run: Any, over: Callable[[Call], object], error: type[Exception]
) -> None:
    call = Call()
    batch = Batch([work(1), work(2), work(3)], {1: call})
    over(call)
    first, second, third = batch.run()

    assert (first, third) == (2, 6)
    assert isinstance(second, error)
    assert run.batches == [[1, 3]]


def test_a_call_that_ends_while_an_image_of_its_batch_is_decoded_never_reaches_the_network(
    work: MakeWork, run: Any
) -> None:
    call = Call()

    def cancelling() -> Any:
        call.cancel()
        return prepared_of(np.full((2, 2, 1), 2, np.uint8))

    batch = Batch([work(1), work(prepare=cancelling)], {0: call})
    batch.jobs[0].watch()
    first, second = batch.run()

    assert isinstance(first, Cancelled)
    assert second == 4
    assert run.batches == [[2]]


def test_a_call_that_ends_while_its_batch_fails_does_not_run_again(work: MakeWork, run: Any) -> None:
    call = Call()

    def failing(pixels: Pixels) -> Any:
        outputs = run(pixels)
        if len(pixels) > 1:
            call.cancel()
            raise RuntimeError("kernel failed")
        return outputs

    batch = Batch([work(value, run=failing) for value in (1, 2, 3)], {1: call})
    batch.jobs[1].watch()
    first, second, third = batch.run()

    assert (first, third) == (2, 6)
    assert isinstance(second, Cancelled)
    assert run.batches == [[1, 2, 3], [1], [3]]


def test_no_response_is_sent_after_the_deadline(work: MakeWork) -> None:
    call = Call()

    def respond(inferred: object) -> str:
        late(call)
        return "late"

    (error,) = Batch([work(respond=respond)], {0: call}).run()

    assert isinstance(error, DeadlineExceeded)


def test_no_response_is_made_for_a_job_that_has_ended(work: MakeWork, run: Any) -> None:
    responses: list[object] = []
    batch = Batch(
        [work(1, run=lambda pixels: batch.jobs[0].cancel() or run(pixels), respond=responses.append)]
    )
    (error,) = batch.run()

    assert isinstance(error, Cancelled)
    assert responses == []


def test_a_job_that_needs_further_jobs_ends_with_them(work: MakeWork) -> None:
    begun: list[Job] = []
    batch = Batch([work(respond=lambda inferred: Further(begun.append))])

    assert batch.run() == [None]
    assert begun == batch.jobs
    assert not batch.jobs[0].ended
    begun[0].end("later")
    assert batch.outcomes[0] == ("later", None)


def test_a_job_whose_further_jobs_cannot_begin_fails(work: MakeWork) -> None:
    error = InternalError("no further jobs")

    assert Batch([work(respond=lambda inferred: Further(fails(error)))]).run() == [error]


def test_images_are_decoded_and_answered_under_the_ids_of_their_requests(work: MakeWork) -> None:
    decoded, answered = [], []

    def prepare() -> Any:
        decoded.append(current_request_id())
        return prepared_of(np.zeros((2, 2, 1), np.uint8))

    def respond(inferred: object) -> None:
        answered.append(current_request_id())

    works = [work(prepare=prepare, respond=respond) for _ in range(3)]
    Batch(works, {n: Call(request_id=f"id-{n}") for n in range(3)}).run()

    assert decoded == answered == ["id-0", "id-1", "id-2"]


def test_the_error_of_a_job_does_not_hold_its_image(work: MakeWork) -> None:
    def fail() -> Any:
        pixels = bytearray(10)
        raise ImageError(f"{len(pixels)} bytes")

    (error,) = Batch([work(prepare=fail)]).run()
    frames, entry = [], error.__traceback__
    while entry:
        frames.append(entry.tb_frame)
        entry = entry.tb_next

    assert len(frames) > 1
    assert not any("pixels" in frame.f_locals for frame in frames)
