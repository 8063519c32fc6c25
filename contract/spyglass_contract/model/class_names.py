"""The one lookup of a class by its index or its name, and of a text that may be either."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from spyglass_contract.errors import InvalidInput

# More digits than any index has; longer texts are names.
_INDEX = re.compile(r"[0-9]{1,9}")


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


def may_be_index(text: str) -> bool:
    """Return whether a text may be the index of a class; it may also be the name of one."""
    return bool(_INDEX.fullmatch(text))


def name_or_index(text: str, names: Sequence[str]) -> int | str:
    """Return the class that a text on a command line names: by its name, or else by its index.

    A text that is neither a name nor a number is returned as it is. Raises InvalidInput with the reason
    CLASS_AMBIGUOUS if the text is the name of one class and the index of another.
    """
    if not may_be_index(text):
        return text
    index = int(text)
    if text not in names:
        return index
    named = names.index(text)
    if index < len(names) and names[index] != text:
        raise InvalidInput(
            f"class {text} has two readings: the class named {text!r}, whose index is {named}, and the class "
            f"with the index {index}, named {names[index]!r}; pass --class-index {named} or --class-index "
            f"{index}",
            reason="CLASS_AMBIGUOUS",
            field="class",
        )
    return text


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
