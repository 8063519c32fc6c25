"""The models, and the path of an image through one of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from spyglass.v1.reply_pb2 import Timing
from spyglass_contract.images.header import Limits
from spyglass_contract.images.message import ImageData
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_server.engine.call import Call
from spyglass_server.engine.capacity.admission import Admission
from spyglass_server.engine.image_threads import ImageThreads
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.scheduler import Inference, Run

Output = TypeVar("Output")


@dataclass(frozen=True)
class Inferred(Generic[Output]):
    """The output of a model for one image, the prepared image, and the times of both in milliseconds."""

    prepared: Prepared
    decode_ms: float
    inference: Inference[Output]

    @property
    def output(self) -> Output:
        """The output of the network for this image, such as one row of its probabilities."""
        return self.inference.output

    def timing(self, encoding_started: float) -> Timing:
        """Return the times of the request; its encoding ran from `encoding_started` (monotonic) until now."""
        return Timing(
            decode_ms=self.decode_ms,
            queue_ms=self.inference.queue_ms,
            inference_ms=self.inference.inference_ms,
            encode_ms=(time.monotonic() - encoding_started) * 1000,
            batch_size=self.inference.batch_size,
        )


class Engine:
    """Runs images through models, from any number of threads.

    Image threads prepare the images, and the queue of the model runs them. Neither holds a lock that
    another request needs.
    """

    def __init__(
        self, repository: Repository, admission: Admission, *, image_threads: int, limits: Limits
    ) -> None:
        """`limits` apply to every image."""
        self.repository = repository
        self.admission = admission
        self.limits = limits
        self.threads = ImageThreads(image_threads)

    def infer(
        self,
        image: ImageData,
        model: Model,
        run: Run[Output],
        call: Call,
        check: Callable[[Prepared], object] | None = None,
    ) -> Inferred[Output]:
        """Prepare an image, run it through the queue of `model` with `run`, and return the output.

        The image thread queues the pixels itself, so the calling thread wakes once, when the output is there.
        `check` may raise an error about the prepared image before it enters the queue. Raises any of
        `spyglass_contract.errors` but ModelError, and the errors of `run`.
        """
        done: Future[Inference[Output]] = Future()

        def work() -> tuple[Prepared, float]:
            try:
                call.remaining()
                started = time.monotonic()
                prepared = prepare(image, model.card.input, self.limits)
                decode_ms = (time.monotonic() - started) * 1000
                if check:
                    check(prepared)
                model.submit(prepared.pixels, run, call, done)
                return prepared, decode_ms
            except Exception as error:
                if done.set_running_or_notify_cancel():
                    done.set_exception(error)
                raise

        working = self.threads.submit(work)
        inference = self.threads.wait_for(call, done, working)
        return Inferred(*working.result(), inference)

    def close(self) -> None:
        """Finish the work in progress, then end the threads and the models."""
        self.threads.close()
        self.repository.close()
