"""COCO's run lengths, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from spyglass_contract.errors import InvalidInput
from spyglass_contract.masks.run_lengths import compress_runs, decode_runs, decompress_runs, encode_runs

# pycocotools 2.0.11 is not up to numpy's newest rules for arrays that share memory.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDES = st.integers(1, 13)
MASKS = st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3)))
LENGTHS = st.lists(st.integers(0, 2**32 - 1), max_size=20)


def by_coco(counts: NDArray[np.uint32], height: int, width: int) -> NDArray[np.bool_]:
    """pycocotools' own reading of the uncompressed form."""
    return (
        coco.decode(coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)) > 0
    )


@settings(deadline=None)
@given(MASKS)
def test_pycocotools_reads_both_forms_of_every_class(mask: NDArray[np.uint8]) -> None:
    height, width = mask.shape
    for index, counts in enumerate(encode_runs(mask, 4)):
        np.testing.assert_array_equal(by_coco(counts, height, width), mask == index)
        compressed = {"size": [height, width], "counts": compress_runs(counts)}
        np.testing.assert_array_equal(coco.decode(compressed) > 0, mask == index)


@settings(deadline=None)
@given(MASKS)
def test_the_compressed_form_is_that_of_pycocotools_to_the_byte(mask: NDArray[np.uint8]) -> None:
    for index, counts in enumerate(encode_runs(mask, 4)):
        theirs = coco.encode(np.asfortranarray(mask == index, np.uint8))["counts"]
        assert compress_runs(counts) == theirs
        np.testing.assert_array_equal(decompress_runs(theirs), counts)


@settings(deadline=None)
@given(MASKS)
def test_what_was_encoded_is_decoded(mask: NDArray[np.uint8]) -> None:
    for index, counts in enumerate(encode_runs(mask, 4)):
        np.testing.assert_array_equal(decode_runs(counts, *mask.shape), mask == index)


@settings(deadline=None)
@given(LENGTHS)
def test_any_lengths_survive_compression(lengths: list[int]) -> None:
    assert decompress_runs(compress_runs(lengths)).tolist() == lengths


def test_runs_go_down_the_columns_and_begin_with_zeros() -> None:
    mask = np.array([[0, 1], [0, 1], [1, 0]], np.uint8)
    zeros, ones = encode_runs(mask, 2)
    assert zeros.tolist() == [0, 2, 3, 1]
    assert ones.tolist() == [2, 3, 1]


def test_a_class_that_does_not_occur_is_one_run_of_zeros() -> None:
    *_, absent = encode_runs(np.zeros((2, 3), np.uint8), 3)
    assert absent.tolist() == [6]


def test_what_was_not_seen_is_of_no_class() -> None:
    (only,) = encode_runs(np.array([[255, 0, 255]], np.uint8), 1)
    assert only.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [5],
        [7],
        [-1, 7],
        [3, 2**40],
        [2**63, 1],
        [2**70],
        [2**62, 2**62, 2**62, 2**62, 6],
        [[6]],
        ["a"],
        [None],
    ],
)
def test_lengths_that_do_not_fill_the_mask_are_refused(counts: list[int]) -> None:
    with pytest.raises(InvalidInput):
        decode_runs(counts, 2, 3)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b" ", id="below the alphabet"),
        pytest.param(b"\xff", id="above the alphabet"),
        pytest.param(b"1P", id="cut off"),
        pytest.param(b"P" * 7 + b"0", id="too long"),
        pytest.param(b"O", id="negative"),
        pytest.param(b"o" * 6 + b"?", id="negative, of many groups"),
        pytest.param(b"0" * 3 + b"PPPPPP?" * 2, id="beyond 32 bits"),
    ],
)
def test_a_broken_compressed_form_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decompress_runs(data)


def test_no_lengths_compress_to_nothing() -> None:
    assert compress_runs([]) == b""
    assert decompress_runs(b"").size == 0
