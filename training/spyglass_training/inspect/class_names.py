"""Look-up of classes by name or number."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from spyglass_contract.errors import NotFound


def find_class(text: str, class_names: Sequence[str]) -> int:
    """Return the index of the class of that name or number. Raises NotFound with similar names."""
    if text in class_names:
        return class_names.index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    near = ", ".join(difflib.get_close_matches(text, class_names, n=5) or class_names[:5])
    raise NotFound(
        f"the network has no class {text!r}; similar or first classes: {near}", reason="CLASS_NOT_FOUND"
    )
