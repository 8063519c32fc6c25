"""Messages about masks to domain objects and back."""

from __future__ import annotations

from spyglass.v1 import segment_pb2
from spyglass.v1.segment_pb2 import (
    Mask,
    RunLengths,
    SegmentClass,
    SegmentRequest,
    SegmentResponse,
    SoftMap,
)
from spyglass_contract.errors import InvalidInput
from spyglass_server import domain
from spyglass_server.masks.styles import MaskStyle
from spyglass_server.servicers.messages import frame_message, served_by_message, timing_message


def mask_style_of(request: SegmentRequest) -> MaskStyle:
    """Raises InvalidInput for a format or size that there is none of."""
    return MaskStyle(request.format, request.size)


def refinements_of(request: SegmentRequest) -> list[domain.Refinement]:
    """Raises InvalidInput for one that names no class."""
    return [_refinement_of(message) for message in request.refine]


def soft_of(request: SegmentRequest) -> int | str | None:
    """The class of the soft map that is asked for."""
    match request.WhichOneof("soft"):
        case "soft_class_index":
            return request.soft_class_index
        case "soft_class_name":
            return request.soft_class_name
    return None


def segment_response(request: SegmentRequest, result: domain.Segmentation) -> SegmentResponse:
    """The reply to `request`."""
    return SegmentResponse(
        id=request.id,
        mask=mask_message(result.mask),
        classes=[_class_message(entry) for entry in result.classes],
        soft=None if result.soft is None else _soft_message(result.soft),
        frame=frame_message(result.box, result.width, result.height),
        served_by=served_by_message(result.served_by),
        timing=timing_message(result.timing),
    )


def mask_message(mask: domain.DrawnMask) -> Mask:
    """The mask as it travels."""
    runs = [
        RunLengths(class_index=run.class_index, counts=run.counts.tolist(), compressed=run.compressed)
        for run in mask.runs
    ]
    return Mask(height=mask.height, width=mask.width, format=mask.format, data=mask.data, runs=runs)


def _refinement_of(message: segment_pb2.Refinement) -> domain.Refinement:
    match message.WhichOneof("target"):
        case "class_index":
            target: int | str = message.class_index
        case "class_name":
            target = message.class_name
        case None:
            raise InvalidInput("a refinement names no class", reason="CLASS_MISSING", field="refine")
    return domain.Refinement(target, message.largest_component, message.fill_holes)


def _class_message(entry: domain.SegmentedClass) -> SegmentClass:
    return SegmentClass(
        index=entry.index,
        name=entry.name,
        pixels=entry.pixels,
        fraction=entry.fraction,
        mean_score=entry.mean_score,
        color=entry.color,
    )


def _soft_message(soft: domain.SoftMap) -> SoftMap:
    return SoftMap(class_index=soft.class_index, height=soft.height, width=soft.width, data=soft.data)
