"""The calls of the service: how requests are made, and how responses become results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    MAP_SIZE_AS_FEATURE_MAP,
    HeatmapRequest,
    HeatmapResponse,
    HeatmapTarget,
)
from spyglass.v1.model_pb2 import TASK_UNSPECIFIED, GetModelRequest, ListModelsRequest
from spyglass.v1.segment_pb2 import MASK_FORMAT_PNG_INDEXED, SegmentRequest, SegmentResponse
from spyglass.v1.segment_pb2 import Refinement as RefinementMessage
from spyglass_client._images import ImageLike, image_message
from spyglass_client._results.classifications import Classification, Target, read_classification
from spyglass_client._results.heatmaps import Heatmap, read_heatmap
from spyglass_client._results.mask_responses import MASK_SIZES, read_segmentation
from spyglass_client._results.models import TASKS, ModelDetails, ServedModel, Task, read_details, read_models
from spyglass_client._results.segmentations import MaskSize, Refinement, Segmentation
from spyglass_client._results.versions import ModelVersions, read_versions
from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.model.names import model_ref

Result = TypeVar("Result", covariant=True)

Request = ClassifyRequest | HeatmapRequest | SegmentRequest
Reply = ClassifyResponse | HeatmapResponse | SegmentResponse

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call: the method, the request, and the function that reads the response."""

    method: str
    request: Message
    read: Callable[[Any], Result]
    # The service of `spyglass.v1` that has the method.
    service: str = "Vision"
    # False: a server that gets the request twice does something else than for one request.
    repeatable: bool = True


@dataclass(frozen=True)
class ImageCall(Generic[Result]):
    """A call that lacks only its image; it serves for one image or for many."""

    # The method of `spyglass.v1.Vision` for one image.
    method: str
    # Makes a request from the field `image`.
    request: Callable[..., Request]
    # Makes a result from a request and its response.
    read: Callable[[Any, Any], Result]

    def with_image(self, image: ImageLike) -> Call[Result]:
        """Return the call for one image. Raises ImageError."""
        request = self.request(image=image_message(image))
        return Call(self.method, request, partial(self.read, request))

    def request_or_error(self, image: ImageLike) -> Request | SpyglassError:
        """Return the request for one of many images, or the error if the image cannot be read."""
        try:
            return self.request(image=image_message(image))
        except SpyglassError as error:
            return error


def classification(*, model: str, top_k: int | None, request_id: str = "") -> ImageCall[Classification]:
    """Make a Classify call. Raises InvalidInput for an invalid `model` or `top_k`."""
    request = partial(ClassifyRequest, id=request_id, model=model_ref(model), top_k=_count(top_k))
    return ImageCall("Classify", request, lambda _, reply: read_classification(reply))


def explanation(
    *,
    model: str,
    target: Target | None,
    further: Sequence[Target],
    top_k: int | None,
    request_id: str = "",
) -> ImageCall[Heatmap]:
    """Make a Heatmap call. Raises InvalidInput for an invalid `model`, `top_k` or class."""
    request = partial(
        HeatmapRequest,
        id=request_id,
        model=model_ref(model),
        top_k=_count(top_k),
        # A few hundred bytes, from which the client draws everything larger.
        format=HEATMAP_FORMAT_FLOAT32,
        size=MAP_SIZE_AS_FEATURE_MAP,
        further=[HeatmapTarget(**_target(entry)) for entry in further],
        **_target(target),
    )
    return ImageCall("Heatmap", request, read_heatmap)


def segmentation(
    *,
    model: str,
    size: MaskSize,
    refine: Sequence[Refinement],
    soft: Target | None,
    request_id: str = "",
) -> ImageCall[Segmentation]:
    """Make a Segment call. Raises InvalidInput for an invalid `model`, `size`, refinement or class."""
    if not isinstance(size, str) or size not in MASK_SIZES:
        raise InvalidInput(
            f"size must be 'image' or 'model', not {size!r}", reason="SIZE_INVALID", field="size"
        )
    request = partial(
        SegmentRequest,
        id=request_id,
        model=model_ref(model),
        # A few kilobytes, from which the client makes everything else.
        format=MASK_FORMAT_PNG_INDEXED,
        size=MASK_SIZES[size],
        refine=_refinements(refine),
        **{f"soft_{name}": value for name, value in _target(soft).items()},
    )
    return ImageCall("Segment", request, read_segmentation)


def models_call() -> Call[tuple[ServedModel, ...]]:
    """Make a ListModels call."""
    return Call("ListModels", ListModelsRequest(), read_models)


def versions_call() -> Call[ModelVersions]:
    """Make a ListModels call for the states of all versions."""
    return Call("ListModels", ListModelsRequest(), read_versions)


def model_call(name: str, task: Task | None, *, with_golden: bool) -> Call[ModelDetails]:
    """Make a GetModel call. Raises InvalidInput for an invalid name or task."""
    if task is not None and (not isinstance(task, str) or task not in TASKS):
        raise InvalidInput(
            f"task must be 'classify' or 'segment', not {task!r}", reason="TASK_UNKNOWN", field="task"
        )
    wanted = TASK_UNSPECIFIED if task is None else TASKS[task]
    request = GetModelRequest(model=model_ref(name), with_golden=with_golden, task=wanted)
    return Call("GetModel", request, read_details)


def _count(top_k: int | None) -> int:
    if top_k is not None and not 1 <= top_k <= _UINT32_MAX:
        raise InvalidInput(f"top_k must be 1 or more, not {top_k}", reason="TOP_K_INVALID", field="top_k")
    return top_k or 0


def _refinements(refine: Sequence[Refinement]) -> list[RefinementMessage]:
    if not isinstance(refine, Sequence) or not all(isinstance(entry, Refinement) for entry in refine):
        raise InvalidInput(f"refine must be a list of Refinement, not {refine!r}", field="refine")
    return [
        RefinementMessage(
            largest_component=entry.largest_component, fill_holes=entry.fill_holes, **_target(entry.target)
        )
        for entry in refine
    ]


def _target(target: Target | None) -> dict[str, Any]:
    """Return the field that names the class."""
    if target is None:
        return {}
    if isinstance(target, str):
        return {"class_name": target}
    # Accept numpy's integers, and reject True.
    if isinstance(target, bool) or not isinstance(target, Integral):
        raise InvalidInput(
            f"a class must be a name or an index, not {target!r}",
            reason="CLASS_UNKNOWN",
            field="class_index",
        )
    if not 0 <= target <= _UINT32_MAX:
        raise InvalidInput(f"there is no class {target}", reason="CLASS_UNKNOWN", field="class_index")
    return {"class_index": int(target)}
