"""The parts of a data set, and the names that people give to them."""

from __future__ import annotations

TRAIN, VALIDATION, TEST = "train", "validation", "test"
PARTS = (TRAIN, VALIDATION, TEST)

_NAMES = {
    TRAIN: TRAIN,
    "training": TRAIN,
    VALIDATION: VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    TEST: TEST,
    "testing": TEST,
}
PART_NAMES = tuple(_NAMES)
"""Every name of a part, in lower case."""


def part_named(name: str) -> str | None:
    """Return the part that a folder, list or field names, in any case, such as VALIDATION for `Val`."""
    return _NAMES.get(name.strip().lower())
