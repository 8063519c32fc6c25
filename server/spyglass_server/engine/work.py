"""What a request needs: an image, the run of a network, and what becomes of its output."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.reply_pb2 import Timing
from spyglass_contract.images.message import ImageData
from spyglass_contract.images.pixels import Prepared

if TYPE_CHECKING:
    from spyglass_server.engine.models.model import Model
    from spyglass_server.engine.response_cache.reuse import Reuse
    from spyglass_server.engine.scheduling.job import Job

Output = TypeVar("Output")
Other = TypeVar("Other")

Run = Callable[[NDArray[np.uint8]], Iterable[Output]]
"""Maps uint8 [batch, height, width, channels] to one output for each image; safe to call from any thread."""


@dataclass(frozen=True)
class Inferred(Generic[Output]):
    """The output of a network for one image, the prepared image, and the times in milliseconds."""

    # For example one row of the network's probabilities.
    output: Output
    prepared: Prepared
    queue_ms: float
    decode_ms: float
    inference_ms: float
    batch_size: int

    def with_output(self, output: Other, inference_ms: float) -> Inferred[Other]:
        """Return the same with another output, which took `inference_ms` in all."""
        return Inferred(output, self.prepared, self.queue_ms, self.decode_ms, inference_ms, self.batch_size)

    def timing(self, encoding_started: float) -> Timing:
        """Return the times of the request; its encoding ran from `encoding_started` (monotonic) until now."""
        return Timing(
            decode_ms=self.decode_ms,
            queue_ms=self.queue_ms,
            inference_ms=self.inference_ms,
            encode_ms=(time.monotonic() - encoding_started) * 1000,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True)
class Further:
    """What `Work.respond` returns if its job needs other jobs: `begin` submits them, and one ends the job."""

    begin: Callable[[Job], object]


@dataclass(frozen=True, eq=False)
class Work:
    """One image through one network. Works of one model with an equal `run` (hashable) may share a batch."""

    model: Model
    run: Run[Any]
    # Decodes and resizes the image, and may check its size. Raises ImageError, LimitExceeded and others.
    prepare: Callable[[], Prepared]
    # Makes the response from the output. Raises InternalError, LimitExceeded and others.
    respond: Callable[[Inferred[Any]], object]
    # Works of one model with equal keys take about the same time.
    cost_key: Hashable
    # The image of a request; None: the work is a part of another one's.
    image: ImageData | None = None
    # How its response can serve other requests; None: it cannot, or the server keeps no responses.
    reuse: Reuse | None = None
    # Called before the image is prepared, with the milliseconds that the work has waited. Returns the
    # response if it became known meanwhile.
    ready: Callable[[float], object | None] | None = None
