"""The classes that a heatmap request names."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.model.card import PREDICTED
from spyglass_server.engine.classes import class_index, named_class

# One class and 32 further ones: each takes memory for a gradient of its own, and has a map in the response.
MAX_TARGETS = 33


def target_indices(request: HeatmapRequest, names: Sequence[str]) -> tuple[int, ...]:
    """Return the indices of the classes to explain, PREDICTED first if the request names no class.

    Raises LimitExceeded for more than MAX_TARGETS classes, and InvalidInput for a class that the model does
    not have, a name that several of its classes have, or a further target without a class.
    """
    count = 1 + len(request.further)
    if count > MAX_TARGETS:
        raise LimitExceeded(
            f"the request has {count} classes to explain; it may have {MAX_TARGETS}",
            reason="TOO_MANY_CLASSES",
            field="further",
        )
    first = named_class(request, "target")
    indices = [PREDICTED if first is None else class_index(first, names)]
    for message in request.further:
        target = named_class(message, "target")
        if target is None:
            raise InvalidInput("a further target names no class", reason="CLASS_MISSING", field="further")
        indices.append(class_index(target, names))
    return tuple(indices)
