"""Calls of the server's handlers, with Python values in place of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import (
    MAP_SIZE_AS_FEATURE_MAP,
    ExplainedClass,
    HeatmapRequest,
    HeatmapResponse,
    HeatmapTarget,
)
from spyglass.v1.image_pb2 import Image, RawImage
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_contract.images.header import Limits
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.lifecycle.loading import load_model
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.response_cache.response_cache import ResponseCache
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.handlers import Handlers

ImageData = bytes | NDArray[np.uint8]


class Handled:
    """The handlers of an engine with one model, for at most four requests at a time."""

    def __init__(
        self,
        path: Path,
        open_model: Callable[[Path], Model],
        *,
        workers: int = 1,
        limits: Limits | None = None,
        responses: ResponseCache | None = None,
    ) -> None:
        self.repository = Repository()
        self.repository.add(load_model(path, open_model))
        bounded = Workers(workers, Bounds(4))
        self.engine = Engine(self.repository, bounded, limits or Limits(), responses)
        self.handlers = Handlers(self.engine)

    @property
    def inside(self) -> int:
        """The number of requests that wait or run."""
        return self.engine.workers.inside

    def classify(self, image: ImageData, call: Call | None = None, **fields: Any) -> ClassifyResponse:
        return self.handlers.classify(ClassifyRequest(image=message(image), **fields), call or Call())

    def heatmap(
        self,
        image: ImageData,
        targets: Sequence[int | str | None] = (None,),
        call: Call | None = None,
        **fields: Any,
    ) -> HeatmapResponse:
        first, *further = (_target(target) for target in targets)
        request = HeatmapRequest(
            image=message(image),
            further=[HeatmapTarget(**target) for target in further],
            **first,
            **{"size": MAP_SIZE_AS_FEATURE_MAP, **fields},
        )
        return self.handlers.heatmap(request, call or Call())

    def segment(self, image: ImageData, call: Call | None = None, **fields: Any) -> SegmentResponse:
        return self.handlers.segment(SegmentRequest(image=message(image), **fields), call or Call())

    def close(self) -> None:
        self.engine.close()


def message(image: ImageData) -> Image:
    """Return the message of a file or of pixels."""
    if isinstance(image, bytes):
        return Image(encoded=image)
    height, width, channels = image.shape
    return Image(raw=RawImage(height=height, width=width, channels=channels, data=image.tobytes()))


def explained(response: HeatmapResponse) -> list[ExplainedClass]:
    """Return every explained class with its heatmap, the first one included."""
    return [ExplainedClass(target=response.target, heatmap=response.heatmap), *response.further]


def _target(target: int | str | None) -> dict[str, Any]:
    if target is None:
        return {}
    return {"class_name": target} if isinstance(target, str) else {"class_index": target}
