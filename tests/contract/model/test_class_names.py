"""Classes by index or name."""

from __future__ import annotations

import pytest

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.class_names import find_class, name_or_index

NAMES = ("background", "cat", "dog", "cat", "7")


def refusal(target: int | str) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        find_class(target, NAMES, "refine.class_name")
    assert raised.value.field == "refine.class_name"
    return raised.value


@pytest.mark.parametrize(("target", "index"), [(0, 0), (4, 4), ("dog", 2), ("7", 4)])
def test_a_class_is_found_by_index_or_name(target: int | str, index: int) -> None:
    assert find_class(target, NAMES, "class_name") == index


@pytest.mark.parametrize("target", [-1, 5])
def test_an_index_outside_the_classes_is_rejected_with_the_allowed_range(target: int) -> None:
    error = refusal(target)

    assert error.reason == "CLASS_UNKNOWN"
    assert error.message == f"the model has no class {target}; its 5 classes are numbered 0 to 4"


def test_an_unknown_name_is_rejected_with_the_nearest_name() -> None:
    error = refusal("dgo")

    assert error.reason == "CLASS_UNKNOWN"
    assert error.message == "the model has no class 'dgo'; did you mean 'dog'?"


@pytest.mark.parametrize("name", ["", "zebra"])
def test_a_name_that_resembles_none_is_rejected_without_a_hint(name: str) -> None:
    assert refusal(name).message == f"the model has no class {name!r}"


def test_a_name_of_several_classes_is_rejected_with_their_indices() -> None:
    error = refusal("cat")

    assert error.reason == "CLASS_AMBIGUOUS"
    assert error.message == "2 classes are named 'cat'; choose one by its index: 1, 3"


@pytest.mark.parametrize(
    ("text", "names", "read"),
    [
        ("dog", NAMES, "dog"),
        ("3", NAMES, 3),
        ("7", NAMES, "7"),
        ("99", NAMES, 99),
        ("-1", NAMES, "-1"),
        ("9" * 5000, NAMES, "9" * 5000),
        ("2", ("0", "1", "2"), "2"),
        ("3", ("1", "2", "3"), "3"),
        ("2", (), 2),
    ],
)
def test_a_text_is_the_name_of_a_class_or_else_an_index(
    text: str, names: tuple[str, ...], read: int | str
) -> None:
    assert name_or_index(text, names) == read


def test_a_name_that_is_the_index_of_another_class_is_rejected_with_both_readings() -> None:
    with pytest.raises(
        InvalidInput, match=r"named '2', whose index is 1, and .* index 2, named '3'"
    ) as raised:
        name_or_index("2", tuple(str(number) for number in range(1, 12)))
    assert raised.value.reason == "CLASS_AMBIGUOUS"
