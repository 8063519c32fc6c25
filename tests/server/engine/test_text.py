"""Text of callers: its quotes in errors, and its limits."""

from __future__ import annotations

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.classes import class_index
from spyglass_server.engine.text import check_id, quoted


def test_a_short_text_is_quoted_in_full() -> None:
    assert quoted("cat's") == '"cat\'s"'


def test_a_long_text_is_cut() -> None:
    assert quoted("x" * 10**6) == f"'{'x' * 100}'…"


def test_an_id_may_have_1024_characters() -> None:
    assert check_id("é" * 1024) == "é" * 1024
    with pytest.raises(InvalidInput, match="1,025"):
        check_id("é" * 1025)


class Untouchable(str):
    """A class name whose comparison fails the test."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = str.__hash__


def test_a_name_longer_than_every_class_is_not_compared() -> None:
    names = [Untouchable("cat"), Untouchable("tiger cat")]

    with pytest.raises(InvalidInput) as raised:
        class_index("x" * 10**6, names, "soft_")

    assert (raised.value.reason, raised.value.field) == ("CLASS_UNKNOWN", "soft_class_name")
    assert len(raised.value.message) < 150


def test_a_name_as_long_as_the_longest_class_is_found() -> None:
    assert class_index("tiger cat", ["cat", "tiger cat"]) == 1
