"""Masks of COCO run lengths, against pycocotools."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pycocotools import mask as reference

from spyglass_client import InvalidInput, mask_from_coco

masks = arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


def compressed(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The run lengths as pycocotools writes them, in bytes."""
    return dict(reference.encode(np.asfortranarray(mask.astype(np.uint8))))


def run_list(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The same run lengths as a list: one for each change of value, the first one of zeros."""
    values = mask.ravel(order="F")
    borders = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff([0, *borders, values.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *lengths] if values[0] else lengths}


@pytest.mark.slow
@given(mask=masks)
def test_run_lengths_of_pycocotools_are_decoded_to_the_mask(mask: NDArray[np.bool_]) -> None:
    encoded = compressed(mask)
    decoded = mask_from_coco(encoded)
    assert decoded.dtype == np.bool_
    np.testing.assert_array_equal(decoded, mask)
    as_text = {**encoded, "counts": encoded["counts"].decode()}
    np.testing.assert_array_equal(mask_from_coco(json.loads(json.dumps(as_text))), mask)


# pycocotools, which is older than numpy 2, emits this warning.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")
@given(mask=masks)
def test_a_list_of_run_lengths_is_decoded_to_the_mask(mask: NDArray[np.bool_]) -> None:
    encoded = run_list(mask)
    np.testing.assert_array_equal(mask_from_coco(encoded), mask)
    # pycocotools reads this list as the same mask.
    np.testing.assert_array_equal(reference.decode(reference.frPyObjects(encoded, *mask.shape)), mask)


@pytest.mark.parametrize("mask", [np.zeros((3, 5)), np.ones((3, 5)), np.eye(4), np.eye(1)], ids=str)
def test_empty_full_and_diagonal_masks_are_decoded(mask: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(mask_from_coco(compressed(mask.astype(bool))), mask.astype(bool))


def test_a_large_mask_is_decoded() -> None:
    rng = np.random.default_rng(5)
    mask = np.repeat(np.repeat(rng.random((75, 100)) < 0.3, 16, axis=0), 16, axis=1)
    np.testing.assert_array_equal(mask_from_coco(compressed(mask)), mask)


def test_the_size_may_be_numpy_integers_and_the_counts_an_array() -> None:
    encoded = {"size": np.array([2, 3]), "counts": np.array([1, 5], np.uint32)}
    assert mask_from_coco(encoded).tolist() == [[False, True, True], [True, True, True]]


HOSTILE: list[Any] = [
    {},
    {"size": [2, 3]},
    {"counts": [6]},
    None,
    7,
    "text",
    [2, 3],
    {"size": None, "counts": [6]},
    {"size": [2], "counts": [6]},
    {"size": [2, 3, 1], "counts": [6]},
    {"size": ["a", 3], "counts": [6]},
    {"size": [2.5, 3], "counts": [6]},
    {"size": [float("nan"), 3], "counts": [6]},
    {"size": [float("inf"), 3], "counts": [6]},
    {"size": "23", "counts": [6]},
    {"size": [0, 3], "counts": []},
    {"size": [-2, -3], "counts": [6]},
    {"size": [10**9, 10**9], "counts": [10**18]},
    {"size": [10**400, 1], "counts": [6]},
    {"size": [2, 3], "counts": None},
    {"size": [2, 3], "counts": 6},
    {"size": [2, 3], "counts": []},
    {"size": [2, 3], "counts": [5]},
    {"size": [2, 3], "counts": [7]},
    {"size": [2, 3], "counts": [-1, 7]},
    {"size": [2, 3], "counts": [2.5, 3.5]},
    {"size": [2, 3], "counts": ["6"]},
    {"size": [2, 3], "counts": [[6]]},
    {"size": [2, 3], "counts": [10**30]},
    {"size": [2, 3], "counts": [2**63, 2**63, 6]},
    {"size": [2, 3], "counts": {"a": 6}},
    {"size": [2, 3], "counts": b""},
    {"size": [2, 3], "counts": ""},
    {"size": [2, 3], "counts": "é"},
    {"size": [2, 3], "counts": "\ud800"},
    {"size": [2, 3], "counts": b"\x00"},
    {"size": [2, 3], "counts": b"o"},
    {"size": [2, 3], "counts": b"o" * 100},
    {"size": [2, 3], "counts": b"P" * 10**6},
    {"size": [2, 3], "counts": bytearray(b"\xff")},
    {"size": [2, 3], "counts": {"size": [2, 3]}},
]


@pytest.mark.parametrize("encoded", HOSTILE, ids=lambda encoded: str(encoded)[:40])
def test_invalid_run_lengths_are_rejected(encoded: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        mask_from_coco(encoded)
    assert caught.value.reason == "RUNS_INVALID"
    assert len(caught.value.message) < 250


@settings(max_examples=100)
@given(
    size=st.tuples(st.integers(-1, 9), st.integers(-1, 9)),
    counts=st.binary(max_size=30) | st.text(max_size=30),
)
def test_random_counts_give_a_mask_of_that_size_or_are_rejected(
    size: tuple[int, int], counts: bytes | str
) -> None:
    try:
        mask = mask_from_coco({"size": size, "counts": counts})
    except InvalidInput:
        return
    assert mask.shape == size
    np.testing.assert_array_equal(reference.decode({"size": list(size), "counts": counts}), mask)
