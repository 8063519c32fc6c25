"""The threads on which images are decoded and drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import Cancelled, DeadlineExceeded
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_server.engine.call import Call
from spyglass_server.engine.model import Model
from spyglass_server.engine.scheduler import Answer, Run

ImageData = bytes | NDArray[np.uint8]
"""A whole file, or upright uint8 [height, width, 1, 3 or 4]."""

Output = TypeVar("Output")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """An image as the network takes it, and how long that took."""

    prepared: Prepared
    milliseconds: float


class Decoders:
    """As few threads as there are processors, so that a hundred requests do not fight over the cores."""

    def __init__(self, count: int, limits: Limits) -> None:
        """`limits` hold for every image."""
        self.limits = limits
        self._threads = ThreadPoolExecutor(count, "decoder")

    def infer(
        self,
        image: ImageData,
        model: Model,
        call: Call,
        run: Run[Output],
        accept: Callable[[Prepared], object] = lambda prepared: None,
    ) -> tuple[Answer[Output], Decoded]:
        """The answer of `model`, run by `run`; its caller wakes once, when decoding and inference are done.

        `accept` raises what there is to say against the image before it enters the model's queue.
        """
        answered: Future[Answer[Output]] = Future()

        def decode() -> Decoded:
            try:
                call.remaining()
                started = time.monotonic()
                prepared = prepare(image, model.card.input, self.limits)
                decoded = Decoded(prepared, (time.monotonic() - started) * 1000)
                accept(prepared)
                model.submit(prepared.pixels, call, answered, run)
                return decoded
            except Exception as error:
                if answered.set_running_or_notify_cancel():
                    answered.set_exception(error)
                raise

        decoding = self.submit(decode)
        return _wait(call, answered, decoding), decoding.result()

    def run(self, call: Call, work: Callable[[], Result]) -> Result:
        """What `work` returns. Raises DeadlineExceeded, Cancelled and what it raises."""
        working = self.submit(work)
        return _wait(call, working, working)

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Has `work` done by the next free thread."""
        return self._threads.submit(work)

    def close(self) -> None:
        """Ends the threads after what they have in hand."""
        self._threads.shutdown()


def _wait(call: Call, result: Future[Result], working: Future[Any]) -> Result:
    try:
        return call.wait(result)
    except (Cancelled, DeadlineExceeded):
        # The caller is gone, its image is not: the permit is held until no thread has or awaits it.
        wait([working])
        raise
