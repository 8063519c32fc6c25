"""Look-up of classes by name or number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from spyglass_contract.errors import NotFound
from spyglass_contract.model.class_names import name_or_index


def find_class(target: int | str, class_names: Sequence[str]) -> int:
    """Return the index of the class of that name or number; a text may be either.

    Raises NotFound with similar names, and InvalidInput if a text is the name of one class and the number of
    another.
    """
    found = name_or_index(target, class_names) if isinstance(target, str) else target
    if isinstance(found, str) and found in class_names:
        return class_names.index(found)
    if isinstance(found, int) and found < len(class_names):
        return found
    near = ", ".join(difflib.get_close_matches(str(target)[:100], class_names, n=5) or class_names[:5])
    raise NotFound(
        f"the network has no class {str(target)[:100]!r}; similar or first classes: {near}",
        reason="CLASS_NOT_FOUND",
    )
