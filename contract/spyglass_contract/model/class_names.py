"""The one lookup of a class by its index or its name."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from spyglass_contract.errors import InvalidInput


def find_class(target: int | str, names: Sequence[str], field: str = "") -> int:
    """Return the index of the class `target` in a model with the class names `names`.

    `field` is the part of the request that holds `target`. Raises InvalidInput with the reason
    CLASS_UNKNOWN if the model has no such class, and CLASS_AMBIGUOUS if several classes have this name.
    """
    if isinstance(target, str):
        return _find_name(target, names, field)
    if not 0 <= target < len(names):
        raise InvalidInput(
            f"the model has no class {target}; its {len(names)} classes are numbered 0 to {len(names) - 1}",
            reason="CLASS_UNKNOWN",
            field=field,
        )
    return int(target)


def _find_name(name: str, names: Sequence[str], field: str) -> int:
    indices = [index for index, known in enumerate(names) if known == name]
    if len(indices) == 1:
        return indices[0]
    if indices:
        listed = ", ".join(map(str, indices))
        raise InvalidInput(
            f"{len(indices)} classes are named {name!r}; choose one by its index: {listed}",
            reason="CLASS_AMBIGUOUS",
            field=field,
        )
    similar = get_close_matches(name, names, 1)
    hint = f"; did you mean {similar[0]!r}?" if similar else ""
    raise InvalidInput(f"the model has no class {name!r}{hint}", reason="CLASS_UNKNOWN", field=field)
