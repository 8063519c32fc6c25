"""Messages about heatmaps to domain objects and back."""

from __future__ import annotations

from spyglass.v1.heatmap_pb2 import (
    ExplainedClass,
    HeatmapData,
    HeatmapRequest,
    HeatmapResponse,
    HeatmapTarget,
)
from spyglass_contract.errors import InvalidInput
from spyglass_server import domain
from spyglass_server.heatmaps.drawing import Drawing
from spyglass_server.servicers.messages import (
    frame_message,
    score_message,
    served_by_message,
    timing_message,
)


def targets_of(request: HeatmapRequest) -> list[domain.Target]:
    """The classes to explain. Raises InvalidInput for a further one that names no class."""
    return [_target_of(request), *(_further_target(target) for target in request.further)]


def drawing_of(request: HeatmapRequest) -> Drawing:
    """Raises InvalidInput for a format or size that there is none of."""
    return Drawing(request.format, request.size)


def heatmap_response(request: HeatmapRequest, result: domain.Explanation) -> HeatmapResponse:
    """The reply to `request`."""
    first, *further = (_explained_message(explained) for explained in result.explained)
    return HeatmapResponse(
        id=request.id,
        heatmap=first.heatmap,
        target=first.target,
        further=further,
        classes=[score_message(entry) for entry in result.classes],
        layer=result.layer,
        frame=frame_message(result.box, result.width, result.height),
        served_by=served_by_message(result.served_by),
        timing=timing_message(result.timing),
    )


def _target_of(message: HeatmapRequest | HeatmapTarget) -> domain.Target:
    match message.WhichOneof("target"):
        case "class_index":
            return message.class_index
        case "class_name":
            return message.class_name
    return None


def _further_target(message: HeatmapTarget) -> domain.Target:
    target = _target_of(message)
    if target is None:
        raise InvalidInput("a further target names no class", reason="CLASS_MISSING", field="further")
    return target


def _explained_message(explained: domain.ExplainedClass) -> ExplainedClass:
    drawn = explained.heatmap
    heatmap = HeatmapData(
        height=drawn.height, width=drawn.width, format=drawn.format, data=drawn.data, all_zero=drawn.all_zero
    )
    return ExplainedClass(target=score_message(explained.target), heatmap=heatmap)
