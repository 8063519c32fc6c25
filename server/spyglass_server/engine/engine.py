"""The models, and the path of an image through one of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from threading import Event

from spyglass_contract.images.header import Limits
from spyglass_contract.images.message import ImageData
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_server.engine.call import Call
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.response_cache.response_cache import ResponseCache
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Inferred, Output, Run, Work


class Engine:
    """Runs images through models, from any number of threads.

    A worker does everything for a request: it decodes the image, runs the network and makes the response.
    """

    def __init__(
        self,
        repository: Repository,
        workers: Workers,
        limits: Limits,
        responses: ResponseCache | None = None,
    ) -> None:
        """`limits` apply to every image. `responses` keeps responses; None: each request runs a network."""
        self.repository = repository
        self.workers = workers
        self.limits = limits
        self.responses = responses

    @property
    def inside(self) -> int:
        """The number of requests that wait or run."""
        return self.workers.inside

    @property
    def admitted(self) -> int:
        """The number of requests that have come in since the start, with those whose response was kept."""
        return self.workers.admitted + (self.responses.hits if self.responses else 0)

    def work(
        self,
        image: ImageData | Prepared,
        model: Model,
        run: Run[Output],
        respond: Callable[[Inferred[Output]], object],
        check: Callable[[Prepared], object] | None = None,
        kind: Hashable = "",
    ) -> Work:
        """Return the work of one image: prepare it, run it with `run`, and make the response of the output.

        A prepared image is the network's input already. `check` may raise an error about it. Works of one
        `kind` and image size take about the same time.
        """
        prepared = partial(_prepare, image, model, self.limits, check)
        pixels = image.pixels if isinstance(image, Prepared) else image
        return Work(model, run, prepared, respond, (kind, _size(image).bit_length()), pixels)

    def start(self, work: Work, call: Call, done: Done) -> bool:
        """Queue a work, see `Workers.submit`, or give `done` the response that is kept for it.

        Returns whether it was queued.
        """
        if call.observation:
            call.observation.model, call.observation.image = work.model, work.image
        if self.responses is None or work.reuse is None or work.image is None:
            self.workers.submit(work, call, done)
            return True
        entry = self.responses.entry(work, work.reuse, work.image, call.caller)
        if entry.respond(call, done):
            return False
        self.workers.submit(entry.looking_again(work), call, entry.keeping(done))
        return True

    def check(self, call: Call) -> None:
        """Raise Overloaded if the work of a call would most probably be refused; see `Workers.check`."""
        self.workers.check(call)

    def run(self, work: Work, call: Call) -> object:
        """Run a work, wait for its response and return it. Raises its error."""
        ended, outcome = Event(), []

        def done(response: object, error: Exception | None) -> None:
            outcome.append((response, error))
            ended.set()

        self.start(work, call, done)
        ended.wait()
        response, error = outcome.pop()
        if error:
            raise error
        return response

    def close(self) -> None:
        """Finish the work in progress, then end the threads and the models."""
        self.workers.close()
        if self.responses:
            self.responses.close()
        self.repository.close()


def _prepare(
    image: ImageData | Prepared, model: Model, limits: Limits, check: Callable[[Prepared], object] | None
) -> Prepared:
    prepared = image if isinstance(image, Prepared) else prepare(image, model.card.input, limits)
    if check:
        check(prepared)
    return prepared


def _size(image: ImageData | Prepared) -> int:
    if isinstance(image, Prepared):
        # It is only copied.
        return 0
    return len(image) if isinstance(image, bytes) else image.nbytes
