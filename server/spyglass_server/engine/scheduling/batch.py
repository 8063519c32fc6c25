"""One run of a network for a batch of works, from their images to the ends of their jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from traceback import clear_frames
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.scheduling.job import Job
from spyglass_server.engine.work import Further, Inferred, Run, Work
from spyglass_server.request_id import set_request_id

_Entry = tuple[Job, Work, Prepared, float]
"""A job, its work, its prepared image, and the milliseconds that this took."""


def run_batch(batch: Sequence[tuple[Job, Work]], alone: Callable[[], bool] = lambda: False) -> list[Work]:
    """End every job of a batch whose works fit together. A work that fails ends its own job only.

    `alone` returns whether no other job needs a core; then a run may use all of them. Returns the works whose
    images ran on their usual threads: the others say nothing about the time that an image takes a worker.
    """
    started = time.monotonic()
    entries: list[_Entry] = []
    for job, work in batch:
        try:
            before = time.monotonic()
            if (observation := job.call.observation) and not observation.queued:
                observation.queued, observation.decode_started = job.queued, before
            job.call.remaining()
            set_request_id(job.call.request_id)
            if work.ready and _end_if_ready(job, work.ready, before):
                continue
            prepared = work.prepare()
            entries.append((job, work, prepared, (time.monotonic() - before) * 1000))
        except Exception as error:
            _fail(job, error)
    live = [entry for entry in entries if not entry[0].ended]
    if live:
        usual = live[0][1].run
        run = live[0][1].model.widest(usual) if alone() else usual
        _run(live, run, started)
        if run != usual:
            return []
    return [work for _, work, _, _ in live]


def _end_if_ready(job: Job, ready: Callable[[float], object | None], now: float) -> bool:
    """End a job whose response became known while it waited; return whether it was."""
    response = ready((now - job.queued) * 1000)
    if response is None:
        return False
    if observation := job.call.observation:
        observation.cached = True
    job.end(response)
    return True


def _run(entries: list[_Entry], run: Run[Any], started: float) -> None:
    before = time.monotonic()
    for job, _, _, _ in entries:
        if (observation := job.call.observation) and not observation.inference_started:
            observation.inference_started = before
    try:
        outputs = list(run(_stacked(entries)))
        pairs = list(zip(entries, outputs, strict=True))
    # Every error of a runtime goes to the callers; the thread goes on.
    except Exception as error:
        if len(entries) == 1:
            _fail(entries[0][0], error)
        else:
            _run_each(entries, run, started)
        return
    inference_ms = (time.monotonic() - before) * 1000
    for (job, work, prepared, decode_ms), output in pairs:
        queue_ms = (started - job.queued) * 1000
        _respond(job, work, Inferred(output, prepared, queue_ms, decode_ms, inference_ms, len(entries)))


def _run_each(entries: list[_Entry], run: Run[Any], started: float) -> None:
    """Run each image alone after their batch has failed: one of them may be the cause."""
    for entry in entries:
        if not entry[0].ended:
            _run([entry], run, started)


def _respond(job: Job, work: Work, inferred: Inferred[object]) -> None:
    if job.ended:
        return
    if observation := job.call.observation:
        observation.encode_started = time.monotonic()
        # Of the request itself, not of the passes that its response may need.
        observation.inferred = observation.inferred or inferred
    try:
        set_request_id(job.call.request_id)
        response = work.respond(inferred)
        if isinstance(response, Further):
            response.begin(job)
            return
        # No response is sent late.
        job.call.remaining()
    except Exception as error:
        _fail(job, error)
    else:
        job.end(response)


def _fail(job: Job, error: Exception) -> None:
    # The frames hold the image, and the job that holds the error: a cycle, and megabytes.
    clear_frames(error.__traceback__)
    job.end(error=error)


def _stacked(entries: list[_Entry]) -> NDArray[np.uint8]:
    if len(entries) == 1:
        return entries[0][2].pixels[np.newaxis]
    return np.stack([prepared.pixels for _, _, prepared, _ in entries])
