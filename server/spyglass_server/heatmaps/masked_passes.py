"""Score-CAM's passes: one image through a network under many masks, side by side with other requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.heatmaps.score_cam import masked
from spyglass_server.engine.call import Call
from spyglass_server.engine.image_threads import ImageThreads
from spyglass_server.engine.models.model import Model, Network
from spyglass_server.engine.scheduler import Inference

# Masked images in work for each that can run: while one batch runs, the next one is made.
_AHEAD = 2


@dataclass(frozen=True)
class MaskedScores:
    """A run for `Scheduler.submit` that returns the class scores, float32 [classes]."""

    network: Network

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.network.features(pixels)[1]


@dataclass(frozen=True)
class _Pass:
    making: Future[None]
    scored: Future[Inference[Any]]


@dataclass(frozen=True)
class MaskedPasses:
    """The passes of one call: an image thread masks the image, and the model's queue runs it.

    At most two batches for each worker are in work. So memory is bounded, other requests run in between, and
    no pass starts after the call was cancelled or its deadline passed.
    """

    threads: ImageThreads
    model: Model
    call: Call
    # uint8 [height, width, channels].
    pixels: NDArray[np.uint8]
    _under_way: deque[_Pass] = field(default_factory=deque)

    def scores(self, planes: Iterable[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return the class scores, float32 [classes], of the image under each mask, in the masks' order.

        Raises DeadlineExceeded, Cancelled, and the errors of the queue and the network. On return and on an
        error no pass is in work but those that a worker runs.
        """
        found = []
        try:
            with self.call.on_cancel(self._give_up):
                for plane in planes:
                    if len(self._under_way) >= self._window:
                        found.append(self._finish())
                    self._begin(plane)
                while self._under_way:
                    found.append(self._finish())
        finally:
            self._give_up()
            wait([each.making for each in self._under_way])
        return found

    @property
    def _window(self) -> int:
        return _AHEAD * self.model.resources.workers * self.model.max_batch

    def _give_up(self) -> None:
        for each in list(self._under_way):
            each.scored.cancel()

    def _begin(self, plane: NDArray[np.float32]) -> None:
        scored: Future[Inference[Any]] = Future()

        def make() -> None:
            try:
                self.call.remaining()
                image = masked(self.pixels, plane)
                self.model.submit(image, MaskedScores(self.model.network), self.call, scored)
            except Exception as error:
                if scored.set_running_or_notify_cancel():
                    scored.set_exception(error)

        self._under_way.append(_Pass(self.threads.submit(make), scored))

    def _finish(self) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self.call.wait(self._under_way[0].scored).output
        self._under_way.popleft()
        return scores
