"""Works for the server's workers: pixels in place of an image, and a future of the output."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass_contract.images.geometry import Placement
from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.call import Call
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.engine.work import Inferred, Work


def work_of(
    pixels: NDArray[np.uint8],
    model: Any,
    run: Any,
    *,
    prepare: Callable[[], Prepared] | None = None,
    respond: Callable[[Inferred[Any]], object] = lambda inferred: inferred,
    cost_key: Hashable = "",
) -> Work:
    """Return the work of an image that needs no decoding; its response is the `Inferred`."""
    return Work(model, run, prepare or (lambda: prepared_of(pixels)), respond, cost_key)


def prepared_of(pixels: NDArray[np.uint8]) -> Prepared:
    height, width, _ = pixels.shape
    whole = (0, 0, width, height)
    return Prepared(pixels, width, height, Placement(whole, whole))


def put(workers: Workers, work: Work, call: Call | None = None) -> Future[Any]:
    """Submit a work, and return the future of its response. A second end of its job raises an error."""
    ended: Future[Any] = Future()

    def done(response: object, error: Exception | None) -> None:
        if error:
            ended.set_exception(error)
        else:
            ended.set_result(response)

    workers.submit(work, call or Call(), done)
    return ended


def submit(
    workers: Workers, model: Any, pixels: NDArray[np.uint8], run: Any, call: Call | None = None
) -> Future[Inferred[Any]]:
    """Run pixels through a network of a model, and return the future of what comes out."""
    return put(workers, work_of(pixels, model, run), call)
