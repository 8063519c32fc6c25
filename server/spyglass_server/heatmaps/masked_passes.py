"""One image run through a network under many masks, without getting in anyone's way."""

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
from spyglass_server.engine.decoders import Decoders
from spyglass_server.engine.model import Model, Network
from spyglass_server.engine.scheduler import Answer

# Images masked or waiting for each that can run: while a batch runs the next one gets ready.
_AHEAD = 2


@dataclass(frozen=True)
class MaskedScores:
    """A run for `Scheduler.submit` that gives the class scores, float32 [classes]."""

    network: Network

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.network.features(pixels)[1]


@dataclass(frozen=True)
class _Pass:
    making: Future[None]
    answered: Future[Answer[Any]]


@dataclass(frozen=True)
class MaskedPasses:
    """The passes of one call. Each goes the way of an image: a decoder makes it, the model's queue runs it.

    Only as many as the model can run twice over are under way, so that memory is bounded, other requests
    have their turn in between, and no more is begun once the caller is gone or the deadline has passed.
    """

    decoders: Decoders
    model: Model
    call: Call
    # uint8 [height, width, channels].
    pixels: NDArray[np.uint8]
    _under_way: deque[_Pass] = field(default_factory=deque)

    def scores(self, planes: Iterable[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The class scores, float32 [classes], of the image under each mask, in their order.

        Raises DeadlineExceeded, Cancelled, and what the queue and the network raise; then, as at the end,
        none of the passes is under way any more but those that a worker has in hand.
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
            each.answered.cancel()

    def _begin(self, plane: NDArray[np.float32]) -> None:
        answered: Future[Answer[Any]] = Future()

        def make() -> None:
            try:
                self.call.remaining()
                image = masked(self.pixels, plane)
                self.model.submit(image, self.call, answered, MaskedScores(self.model.network))
            except Exception as error:
                if answered.set_running_or_notify_cancel():
                    answered.set_exception(error)

        self._under_way.append(_Pass(self.decoders.submit(make), answered))

    def _finish(self) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self.call.wait(self._under_way[0].answered).output
        self._under_way.popleft()
        return scores
