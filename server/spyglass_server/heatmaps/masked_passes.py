"""Score-CAM's passes: one image through a network under many masks, side by side with other requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import Cancelled
from spyglass_contract.heatmaps.score_cam import masked
from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.models.model import Model, Network
from spyglass_server.engine.scheduling.job import Job
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Inferred, Work

# Masked images in work for each that can run: while one batch runs, the next one waits.
_AHEAD = 2


@dataclass(frozen=True)
class MaskedScores:
    """A run that returns the class scores, float32 [classes]."""

    network: Network

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.network.features(pixels)[1]


class MaskedPasses:
    """The passes of one job, each of which masks the image and runs the network.

    At most two batches for each worker are in work. So memory is bounded, other requests run in between, and
    no pass starts after the job has ended.
    """

    def __init__(
        self,
        workers: Workers,
        model: Model,
        prepared: Prepared,
        planes: NDArray[np.float32],
        then: Callable[[list[NDArray[np.float32]]], object],
    ) -> None:
        """`planes` are float32 [masks, rows, columns], not constant.

        `then` makes the job's response from the class scores, float32 [classes] for each mask.
        """
        self._workers = workers
        self._model = model
        self._prepared = prepared
        self._planes = planes
        self._then = then
        self._next: Iterator[int] = iter(range(len(planes)))
        self._scores: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(planes)
        self._left = len(planes)
        self._seconds = 0.0
        # The work of the job, which the job forgets when it ends.
        self._work: Work | None = None
        self._lock = Lock()

    def begin(self, job: Job) -> None:
        """Start the first passes; the last one ends `job`."""
        self._work = job.work
        if not self._left:
            self._finish(job)
        for _ in range(_AHEAD * self._workers.count * self._model.max_batch):
            self._start_next(job)

    def _start_next(self, job: Job) -> None:
        with self._lock:
            index = next(self._next, None)
        if index is None or job.ended:
            return
        work = Work(
            self._model,
            MaskedScores(self._model.network),
            partial(self._masked, job, index),
            partial(self._keep, index),
            "masked",
        )
        self._workers.submit_further(work, job, partial(self._done, job))

    def _masked(self, job: Job, index: int) -> Prepared:
        if job.ended:
            raise Cancelled("the request of this pass has ended")
        return replace(self._prepared, pixels=masked(self._prepared.pixels, self._planes[index]))

    def _keep(self, index: int, inferred: Inferred[NDArray[np.float32]]) -> None:
        self._scores[index] = inferred.output
        with self._lock:
            self._seconds += (inferred.decode_ms + inferred.inference_ms) / inferred.batch_size / 1000

    def _done(self, job: Job, _: object, error: Exception | None) -> None:
        if error:
            job.end(error=error)
            return
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._finish(job)
        else:
            self._start_next(job)

    def _finish(self, job: Job) -> None:
        if job.ended:
            return
        if self._work:
            self._workers.record_further(self._work, self._seconds)
        try:
            response = self._then(self._scores)
        # In a callback of the workers, which must not raise.
        except Exception as error:
            job.end(error=error)
        else:
            job.end(response)
