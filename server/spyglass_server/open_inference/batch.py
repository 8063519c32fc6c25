"""The batch of one request: the work of each image, and the result of all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass.v1.reply_pb2 import Timing
from spyglass_contract.errors import LimitExceeded
from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.finite import check_finite
from spyglass_server.engine.limits import MAX_REPLY_BYTES
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.observation import Observation
from spyglass_server.engine.response_cache.reuse import Reuse
from spyglass_server.engine.work import Inferred, Work
from spyglass_server.heatmaps.explain import Explained, explaining_work
from spyglass_server.open_inference.outputs import ImageOutput, Output, Part
from spyglass_server.open_inference.reuse import ImageParts, kept_parts, restored_parts
from spyglass_server.open_inference.tensors import InferResult

Image = bytes | Prepared
"""A file to decode, or an input that is ready for the network."""

Respond = Callable[[ImageOutput, Inferred[Any]], object]
"""Makes the response of a work from the output for its image, and the times."""


class Batch:
    """Makes works for the images of a request, and its result from their responses."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        request_id: str,
        outputs: Mapping[str, Output],
        images: int,
        explained: int | None,
        options: bytes | None = None,
        observation: Observation | None = None,
    ) -> None:
        """`explained` is the class of the heatmaps, or PREDICTED; None: there are none.

        `options` are those of the request for the response cache; None: there is no cache. `observation` is
        that of the request.
        """
        self._observation = observation
        self._engine = engine
        self._options = options
        self._model = model
        self._id = request_id
        self._outputs = tuple(outputs.values())
        self._images = images
        self._explained = explained
        self._served_by = model.served_by if explained is None else model.heatmaps_served_by

    def work(self, image: Image, observation: Observation | None) -> Work:
        """Return the work of one image. Its response is an ImageParts."""
        work = self._work(image, partial(self._parts, observation=observation))
        if self._options is None:
            return work
        restored = partial(self._restored, observation)
        return replace(work, reuse=Reuse(self._options, _kept, restored))

    def result(self, responses: list[ImageParts]) -> InferResult:
        """Return the result of the request from the responses to all its images."""
        # For each output what each image contributes to it.
        parts = zip(*[response.parts for response in responses], strict=True)
        joined = tuple([output.joined(each) for output, each in zip(self._outputs, parts, strict=True)])
        cached = all([response.cached for response in responses])
        if self._observation:
            self._observation.cached = cached
        return InferResult(self._id, self._model, self._served_by, joined, cached)

    def _work(self, image: Image, respond: Respond) -> Work:
        model = self._model
        if self._explained is None:
            kind = "segment" if model.task == TASK_SEGMENT else ""
            return self._engine.work(
                image, model, model.network.run, partial(_of_probabilities, respond), kind=kind
            )
        classes = (self._explained,)
        return explaining_work(self._engine, image, model, classes, partial(_of_explained, respond), None)

    def _parts(
        self, image: ImageOutput, inferred: Inferred[Any], observation: Observation | None
    ) -> ImageParts:
        check_finite(self._model, image.probabilities)
        if image.heatmap is not None:
            check_finite(self._model, image.heatmap)
        started = time.monotonic()
        parts = [output.part(image) for output in self._outputs]
        self._check_size(parts)
        if observation:
            observation.computed = inferred.timing(started), self._served_by
        return ImageParts(parts)

    def _restored(self, observation: Observation | None, kept: bytes, queue_ms: float) -> ImageParts:
        parts = restored_parts(kept)
        # They may have been kept from a request with fewer images.
        self._check_size(parts)
        if observation:
            observation.computed = Timing(queue_ms=queue_ms, cached=True), self._served_by
        return ImageParts(parts, cached=True)

    def _check_size(self, parts: list[Part]) -> None:
        """Raise LimitExceeded if the response will be too large: every image has parts of one size."""
        total = self._images * sum(part.nbytes for part in parts if isinstance(part, np.ndarray))
        if total > MAX_REPLY_BYTES:
            raise LimitExceeded(
                f"the outputs of the {self._images} images take {total:,} bytes, more than "
                f"{MAX_REPLY_BYTES:,}; request fewer outputs, or send fewer images at a time",
                reason="OUTPUTS_TOO_LARGE",
                field="outputs",
            )


def _kept(response: ImageParts) -> bytes:
    return kept_parts(response.parts)


def _of_probabilities(respond: Respond, inferred: Inferred[NDArray[np.float32]]) -> object:
    return respond(ImageOutput(inferred.output, inferred.prepared), inferred)


def _of_explained(respond: Respond, inferred: Inferred[Explained]) -> object:
    explained = inferred.output
    return respond(ImageOutput(explained.probabilities, inferred.prepared, explained.maps[0]), inferred)
