"""Which classes a request means."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from spyglass_contract.errors import InvalidInput, LimitExceeded
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
    if isinstance(target, str):
        return _named(target, names, f"{prefix}class_name")
    if not 0 <= target < len(names):
        raise InvalidInput(
            f"there is no class {target}; the model has {len(names)}, from 0",
            reason="CLASS_UNKNOWN",
            field=f"{prefix}class_index",
        )
    return target


def _named(name: str, names: Sequence[str], field: str) -> int:
    indices = [index for index, known in enumerate(names) if known == name]
    if len(indices) == 1:
        return indices[0]
    if indices:
        raise InvalidInput(
            f"{len(indices)} classes are named {name!r}; say which by its index: {_listed(indices)}",
            reason="CLASS_AMBIGUOUS",
            field=field,
        )
    similar = get_close_matches(name, names, 1)
    hint = f"; did you mean {similar[0]!r}?" if similar else ""
    raise InvalidInput(f"there is no class {name!r}{hint}", reason="CLASS_UNKNOWN", field=field)


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices))
