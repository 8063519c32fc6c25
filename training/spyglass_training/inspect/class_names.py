"""Classes by what people call them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from spyglass_contract.errors import NotFound


def find_class(text: str, class_names: Sequence[str]) -> int:
    """The index of the class of that name, or of that number. Raises NotFound, which tells similar names."""
    if text in class_names:
        return class_names.index(text)
    if text.isdecimal() and int(text) < len(class_names):
        return int(text)
    near = ", ".join(difflib.get_close_matches(text, class_names, n=5) or class_names[:5])
    raise NotFound(f"the network knows no class {text!r}; it knows {near}", reason="CLASS_NOT_FOUND")
