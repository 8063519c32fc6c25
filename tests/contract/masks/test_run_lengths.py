"""COCO's run-length encoding, compared with pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pycocotools import mask as coco

from spyglass_contract.errors import InvalidInput
from spyglass_contract.masks.placement import MAX_PIXELS
from spyglass_contract.masks.run_lengths import compress_runs, decode_runs, decompress_runs, encode_runs

# pycocotools 2.0.11 uses an interface for shared memory that numpy has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDES = st.integers(1, 13)
MASKS = st.tuples(SIDES, SIDES).flatmap(lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3)))
LENGTHS = st.lists(st.integers(0, 2**32 - 1), max_size=20)


def by_coco(counts: NDArray[np.uint32], height: int, width: int) -> NDArray[np.bool_]:
    """The mask of an uncompressed form, decoded by pycocotools."""
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
def test_the_compressed_form_has_the_bytes_of_pycocotools(mask: NDArray[np.uint8]) -> None:
    for index, counts in enumerate(encode_runs(mask, 4)):
        theirs = coco.encode(np.asfortranarray(mask == index, np.uint8))["counts"]
        assert compress_runs(counts) == theirs
        np.testing.assert_array_equal(decompress_runs(theirs), counts)


@settings(deadline=None)
@given(MASKS)
def test_an_encoded_mask_is_decoded_to_itself(mask: NDArray[np.uint8]) -> None:
    for index, counts in enumerate(encode_runs(mask, 4)):
        np.testing.assert_array_equal(decode_runs(counts, *mask.shape), mask == index)


@settings(deadline=None)
@given(LENGTHS)
def test_any_lengths_survive_compression(lengths: list[int]) -> None:
    assert decompress_runs(compress_runs(lengths)).tolist() == lengths


def test_runs_are_column_major_and_begin_with_zeros() -> None:
    mask = np.array([[0, 1], [0, 1], [1, 0]], np.uint8)
    zeros, ones = encode_runs(mask, 2)
    assert zeros.tolist() == [0, 2, 3, 1]
    assert ones.tolist() == [2, 3, 1]


def test_a_class_that_does_not_occur_is_one_run_of_zeros() -> None:
    *_, absent = encode_runs(np.zeros((2, 3), np.uint8), 3)
    assert absent.tolist() == [6]


def test_void_pixels_belong_to_no_class() -> None:
    (only,) = encode_runs(np.array([[255, 0, 255]], np.uint8), 1)
    assert only.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "counts",
    [[], [5], [7], [0, 7], [1, 2, 3, 4], [2**62, 2**62, 2**62, 2**62, 6], [6] * 1000],
    ids=lambda counts: str(counts)[:20],
)
def test_lengths_that_do_not_add_up_to_the_mask_are_rejected(counts: list[int]) -> None:
    with pytest.raises(InvalidInput) as raised:
        decode_runs(counts, 2, 3)
    assert raised.value.reason == "RUNS_INVALID"


@pytest.mark.parametrize("counts", [[-1, 7], [3, 2**40], [2**62, 1], [7, -1]])
def test_a_length_outside_the_mask_is_rejected(counts: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"0 to 6, the number of pixels"):
        decode_runs(counts, 2, 3)


@pytest.mark.parametrize(
    "counts",
    [
        [2**70],
        [-1, 2**63],
        [[6]],
        [[1], [2, 3]],
        ["a"],
        ["6"],
        [None],
        [2.0, 4.0],
        [1.5, 4.5],
        [True],
        6,
        "6",
    ],
    ids=str,
)
def test_lengths_that_are_not_whole_numbers_are_rejected(counts: Any) -> None:
    with pytest.raises(InvalidInput, match="list of whole numbers"):
        decode_runs(counts, 2, 3)


@pytest.mark.parametrize("size", [(0, 3), (-2, -3), (100_000, 100_000), (2**40, 2**40), (1, MAX_PIXELS + 1)])
def test_a_mask_without_pixels_or_with_too_many_is_rejected_before_memory_is_taken(
    size: tuple[int, int],
) -> None:
    with pytest.raises(InvalidInput, match="1 to 134,217,728 pixels"):
        decode_runs([size[0] * size[1]], *size)


def test_runs_of_no_length_are_allowed_as_pycocotools_allows_them() -> None:
    counts = [0, 2, 0, 1, 3]
    expected = by_coco(np.array(counts, np.uint32), 2, 3)
    np.testing.assert_array_equal(decode_runs(counts, 2, 3), expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b" ", "from '0' to 'o'", id="below the alphabet"),
        pytest.param(b"\xff", "from '0' to 'o'", id="above the alphabet"),
        pytest.param("é", "ASCII", id="not ASCII"),
        pytest.param(b"1P", "cut off", id="cut off"),
        pytest.param(b"P" * 7 + b"0", "at most 7 characters", id="too long"),
        pytest.param(b"O", "0 to 4294967295", id="negative"),
        pytest.param(b"o" * 6 + b"?", "0 to 4294967295", id="negative, of many groups"),
        pytest.param(b"0" * 3 + b"PPPPPP?" * 2, "0 to 4294967295", id="beyond 32 bits"),
    ],
)
def test_a_broken_compressed_form_is_rejected(data: bytes | str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as raised:
        decompress_runs(data)
    assert raised.value.reason == "RUNS_INVALID"


@given(st.binary(max_size=60))
def test_any_bytes_are_decompressed_or_rejected(data: bytes) -> None:
    try:
        lengths = decompress_runs(data)
    except InvalidInput:
        return
    assert lengths.dtype == np.uint32


def test_the_compressed_form_is_read_as_text_too() -> None:
    assert decompress_runs(compress_runs([3, 2, 1]).decode()).tolist() == [3, 2, 1]


def test_no_lengths_have_an_empty_compressed_form() -> None:
    assert compress_runs([]) == b""
    assert decompress_runs(b"").size == 0
