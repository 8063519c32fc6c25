"""Which classes a request means."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.model.class_names import find_class
from spyglass_server.domain import Target
from spyglass_server.heatmaps.explain import PREDICTED

# One and 32 further ones: each takes memory for a gradient of its own, and a map in the reply.
MAX_TARGETS = 33


def class_indices(targets: Sequence[Target], names: Sequence[str]) -> tuple[int, ...]:
    """The index of each target, PREDICTED for None, in a model with classes of these `names`.

    Raises InvalidInput for a class that the model does not have, a name that several of its classes have,
    or no target at all, and LimitExceeded for more than MAX_TARGETS.
    """
    if not targets:
        raise InvalidInput("no class to explain", reason="CLASS_MISSING", field="class_index")
    if len(targets) > MAX_TARGETS:
        raise LimitExceeded(
            f"{len(targets)} classes to explain; {MAX_TARGETS} are the most of one request",
            reason="TOO_MANY_CLASSES",
            field="further",
        )
    return tuple(PREDICTED if target is None else class_index(target, names) for target in targets)


def class_index(target: int | str, names: Sequence[str], prefix: str = "") -> int:
    """The index of one class. Raises InvalidInput; `prefix` is what its field begins with in the request."""
    return find_class(target, names, prefix + ("class_name" if isinstance(target, str) else "class_index"))
