"""The calls of the service, each as what is sent and how the reply is read: all that both clients share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import MAP_SIZE_AS_FEATURE_MAP, HeatmapRequest, HeatmapResponse, HeatmapTarget
from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest
from spyglass.v1.segment_pb2 import MASK_FORMAT_PNG_INDEXED, SegmentRequest, SegmentResponse
from spyglass.v1.segment_pb2 import Refinement as RefinementMessage
from spyglass_client._heatmaps import Heatmap, read_heatmap
from spyglass_client._images import ImageLike, image_message
from spyglass_client._mask_replies import MASK_SIZES, read_segmentation
from spyglass_client._models import ModelDetails, ServedModel, read_details, read_models
from spyglass_client._results import Classification, Target, read_classification
from spyglass_client._segmentations import MaskSize, Refinement, Segmentation
from spyglass_contract.errors import InvalidInput, SpyglassError
from spyglass_contract.model.names import model_ref

Result = TypeVar("Result", covariant=True)

Request = ClassifyRequest | HeatmapRequest | SegmentRequest
Reply = ClassifyResponse | HeatmapResponse | SegmentResponse

_UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One call: the method of `spyglass.v1.Vision`, the request, and the reply to a result."""

    method: str
    request: Message
    read: Callable[[Any], Result]


@dataclass(frozen=True)
class Question(Generic[Result]):
    """What is asked about one image or many."""

    # Of `spyglass.v1.Vision`, for one image; with `Stream` behind it, for many.
    method: str
    # Makes a request of the field `image`.
    request: Callable[..., Request]
    # Makes a result of a request and the reply to it.
    read: Callable[[Any, Any], Result]

    def about(self, image: ImageLike) -> Call[Result]:
        """The call for one image. Raises ImageError."""
        request = self.request(image=image_message(image))
        return Call(self.method, request, partial(self.read, request))

    def request_or_error(self, image: ImageLike) -> Request | SpyglassError:
        """The request for one of many images, where one that cannot be read is not the end of all."""
        try:
            return self.request(image=image_message(image))
        except SpyglassError as error:
            return error


def classification(*, model: str, top_k: int | None, request_id: str = "") -> Question[Classification]:
    """Raises InvalidInput for a `model` or `top_k` that cannot be."""
    request = partial(ClassifyRequest, id=request_id, model=model_ref(model), top_k=_count(top_k))
    return Question("Classify", request, lambda _, reply: read_classification(reply))


def explanation(
    *,
    model: str,
    target: Target | None,
    further: Sequence[Target],
    top_k: int | None,
    request_id: str = "",
) -> Question[Heatmap]:
    """Raises InvalidInput for a `model`, `top_k` or class that cannot be."""
    request = partial(
        HeatmapRequest,
        id=request_id,
        model=model_ref(model),
        top_k=_count(top_k),
        # Everything larger is drawn here, from a few hundred bytes.
        size=MAP_SIZE_AS_FEATURE_MAP,
        further=[HeatmapTarget(**_target(entry)) for entry in further],
        **_target(target),
    )
    return Question("Heatmap", request, read_heatmap)


def segmentation(
    *,
    model: str,
    size: MaskSize,
    refine: Sequence[Refinement],
    soft: Target | None,
    request_id: str = "",
) -> Question[Segmentation]:
    """Raises InvalidInput for a `model`, `size`, refinement or class that cannot be."""
    if not isinstance(size, str) or size not in MASK_SIZES:
        raise InvalidInput(f"size is {size!r}, not 'image' or 'model'", reason="SIZE_INVALID", field="size")
    request = partial(
        SegmentRequest,
        id=request_id,
        model=model_ref(model),
        # Whatever else one may want is made here, from a few kilobytes.
        format=MASK_FORMAT_PNG_INDEXED,
        size=MASK_SIZES[size],
        refine=_refinements(refine),
        **{f"soft_{name}": value for name, value in _target(soft).items()},
    )
    return Question("Segment", request, read_segmentation)


def models_call() -> Call[tuple[ServedModel, ...]]:
    return Call("ListModels", ListModelsRequest(), read_models)


def model_call(name: str, *, with_golden: bool) -> Call[ModelDetails]:
    """Raises InvalidInput for a model's name that is none."""
    return Call("GetModel", GetModelRequest(model=model_ref(name), with_golden=with_golden), read_details)


def _count(top_k: int | None) -> int:
    if top_k is not None and not 1 <= top_k <= _UINT32_MAX:
        raise InvalidInput(f"top_k is {top_k}, not 1 or more", reason="TOP_K_INVALID", field="top_k")
    return top_k or 0


def _refinements(refine: Sequence[Refinement]) -> list[RefinementMessage]:
    if not isinstance(refine, Sequence) or not all(isinstance(entry, Refinement) for entry in refine):
        raise InvalidInput(f"refine is {refine!r}, not a list of Refinement", field="refine")
    return [
        RefinementMessage(
            largest_component=entry.largest_component, fill_holes=entry.fill_holes, **_target(entry.target)
        )
        for entry in refine
    ]


def _target(target: Target | None) -> dict[str, Any]:
    """The field that names the class, as requests and further targets have it."""
    if target is None:
        return {}
    if isinstance(target, str):
        return {"class_name": target}
    # numpy's integers count as integers, and True is none.
    if isinstance(target, bool) or not isinstance(target, Integral):
        raise InvalidInput(
            f"a class is named by its name or its index, not by {target!r}",
            reason="CLASS_UNKNOWN",
            field="class_index",
        )
    if not 0 <= target <= _UINT32_MAX:
        raise InvalidInput(f"there is no class {target}", reason="CLASS_UNKNOWN", field="class_index")
    return {"class_index": int(target)}
