"""Masks of images, compared with interpolating every probability at every pixel."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import RESIZE_RULE_CROP, RESIZE_RULE_PAD, RESIZE_RULE_STRETCH, InputSpec
from spyglass_contract.heatmaps.overlay import grey_levels, map_to_image
from spyglass_contract.images.geometry import Box, input_box, place
from spyglass_contract.masks.placement import VOID
from spyglass_contract.masks.probability_maps import probability_map_of_image
from spyglass_contract.masks.upsampling import ClassMask, mask_of_image, mask_of_network

RULES = {"stretch": RESIZE_RULE_STRETCH, "crop": RESIZE_RULE_CROP, "pad": RESIZE_RULE_PAD}

# The reference has more digits: two probabilities that are closer than this may be ordered either way.
CLOSE = 2e-6


class Case(NamedTuple):
    probabilities: NDArray[np.float32]
    box: Box
    width: int
    height: int


def probabilities_of(
    rows: int, columns: int, classes: int, seed: int, sharpness: float
) -> NDArray[np.float32]:
    """Probabilities like those of a network, in regions of one class; sharper regions are more certain."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, sharpness, (rows, columns, classes))
    for _ in range(2):
        logits = (logits + np.roll(logits, 1, 0) + np.roll(logits, 1, 1)) / 1.5
    exponentials = np.exp(logits - logits.max(axis=2, keepdims=True))
    return (exponentials / exponentials.sum(axis=2, keepdims=True)).astype(np.float32)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rows, columns = draw(st.integers(1, 17)), draw(st.integers(1, 17))
    classes = draw(st.integers(2, 6))
    sharpness = draw(st.sampled_from([0.1, 1.0, 5.0, 30.0]))
    probabilities = probabilities_of(rows, columns, classes, draw(st.integers(0, 999)), sharpness)
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    rule = draw(st.sampled_from(sorted(RULES)))
    fraction = draw(st.sampled_from([0.0, 0.875, 0.5]))
    spec = InputSpec(height=24, width=32, resize=RULES[rule], crop_fraction=fraction)
    return Case(probabilities, input_box(place(width, height, spec), spec), width, height)


def reference(case: Case) -> NDArray[np.float64]:
    """Every class at every pixel, float64 [height, width, classes]; 0 outside the box."""
    left, top, right, bottom = case.box
    rows, columns, _ = case.probabilities.shape
    (above, below, down), (first, second, across) = (
        corners(rows, top, bottom, case.height),
        corners(columns, left, right, case.width),
    )
    weight = across[:, np.newaxis]
    level = case.probabilities[:, first] * (1 - weight) + case.probabilities[:, second] * weight
    weight = down[:, np.newaxis, np.newaxis]
    return (level[above] * (1 - weight) + level[below] * weight) * covered(case)[:, :, np.newaxis]


def corners(
    cells: int, begin: float, end: float, pixels: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """For each pixel the cells before and after it, and the weight of the latter."""
    place = np.clip((np.arange(pixels) + 0.5 - begin) * cells / (end - begin) - 0.5, 0, cells - 1)
    before = np.floor(place).astype(np.intp)
    return before, np.minimum(before + 1, cells - 1), place - before


def covered(case: Case) -> NDArray[np.bool_]:
    """bool [height, width]: the pixels in the box."""
    left, top, right, bottom = case.box
    x, y = np.arange(case.width) + 0.5, np.arange(case.height)[:, np.newaxis] + 0.5
    return (left <= x) & (x < right) & (top <= y) & (y < bottom)


def undecided(full: NDArray[np.float64]) -> NDArray[np.bool_]:
    """bool [height, width]: the pixels whose two most probable classes are nearly equal."""
    best = np.sort(full, axis=2)
    return best[:, :, -1] - best[:, :, -2] < CLOSE


@settings(deadline=None)
@given(cases())
def test_the_mask_is_the_argmax_of_the_interpolated_probabilities(case: Case) -> None:
    found = mask_of_image(*case).mask
    full = reference(case)
    assert found.dtype == np.uint8
    assert found.shape == (case.height, case.width)
    expected = np.where(covered(case), full.argmax(axis=2), VOID)
    np.testing.assert_array_equal(np.where(undecided(full), expected, found), expected)


@settings(deadline=None)
@given(cases())
def test_pixels_and_mean_scores_are_those_of_the_mask(case: Case) -> None:
    found = mask_of_image(*case)
    full = reference(case)
    for index in range(full.shape[2]):
        own = found.mask == index
        assert found.pixels[index] == own.sum()
        expected = full[own, index].mean() if own.any() else 0.0
        assert found.mean_scores[index] == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(cases())
def test_a_probability_map_is_the_interpolated_probability_in_256_levels(case: Case) -> None:
    values = np.ascontiguousarray(case.probabilities[:, :, 0])
    found = probability_map_of_image(values, case.box, case.width, case.height)
    expected = grey_levels(reference(case)[:, :, 0].astype(np.float32))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found[~covered(case)] == 0).all()


@pytest.mark.parametrize("size", [(301, 203), (203, 301), (64, 48), (31, 23), (5, 90)])
@pytest.mark.parametrize("rule", RULES)
def test_images_larger_and_smaller_than_the_networks_output_have_the_same_rule(
    rule: str, size: tuple[int, int]
) -> None:
    spec = InputSpec(height=48, width=64, resize=RULES[rule])
    case = Case(probabilities_of(48, 64, 4, 3, 8.0), input_box(place(*size, spec), spec), *size)
    full = reference(case)
    expected = np.where(covered(case), full.argmax(axis=2), VOID)
    found = mask_of_image(*case).mask
    np.testing.assert_array_equal(np.where(undecided(full), expected, found), expected)


@pytest.mark.parametrize("rule", RULES)
def test_heatmaps_and_masks_are_interpolated_alike(rule: str) -> None:
    spec = InputSpec(height=48, width=64, resize=RULES[rule])
    values = probabilities_of(12, 16, 2, 3, 8.0)[:, :, 0].copy()
    box = input_box(place(101, 90, spec), spec)
    as_heatmap = grey_levels(map_to_image(values, box, 101, 90)).astype(int)
    assert np.abs(probability_map_of_image(values, box, 101, 90) - as_heatmap).max() <= 1


def test_a_class_that_is_the_most_probable_only_between_cells_is_found() -> None:
    cells = np.array([[[0.55, 0.45, 0.0], [0.0, 0.45, 0.55]]], np.float32)
    values = mask_of_image(cells, (0, 0, 60, 1), 60, 1).mask[0]
    assert set(values.tolist()) == {0, 1, 2}
    assert (np.diff(values.astype(int)) >= 0).all()


def test_the_first_of_equally_probable_classes_is_taken() -> None:
    equal = np.full((3, 4, 5), 0.2, np.float32)
    equal[:, :, 0] = 0.1
    assert (mask_of_image(equal, (0, 0, 9, 7), 9, 7).mask == 1).all()
    assert (mask_of_network(equal).mask == 1).all()


def test_255_classes_keep_their_indices() -> None:
    case = Case(probabilities_of(6, 9, 255, 1, 6.0), (0, 0, 50, 40), 50, 40)
    full = reference(case)
    found = mask_of_image(*case).mask
    expected = full.argmax(axis=2)
    np.testing.assert_array_equal(np.where(undecided(full), expected, found), expected)


def test_the_mask_at_the_size_of_the_output_is_not_interpolated() -> None:
    probabilities = probabilities_of(7, 9, 3, 5, 2.0)
    own = mask_of_network(probabilities)
    same = mask_of_image(probabilities, (0, 0, 9, 7), 9, 7)
    np.testing.assert_array_equal(own.mask, probabilities.argmax(axis=2))
    np.testing.assert_array_equal(own.mask, same.mask)
    np.testing.assert_array_equal(own.pixels, same.pixels)
    np.testing.assert_allclose(own.mean_scores, same.mean_scores, atol=1e-6)


@pytest.fixture
def traced() -> Callable[[Callable[[], object]], int]:
    """Measures the peak memory of a call, in bytes."""

    def measure(call: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measure


def allowed(case: Case) -> int:
    """The limit in the docstring of `mask_of_image`, in bytes."""
    rows, columns, _ = case.probabilities.shape
    mask = case.width * case.height
    return mask + 2 * case.probabilities.nbytes + 100 * (rows * columns + case.width) + 8 * 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "width", "height", "sharpness"),
    [
        pytest.param((128, 128, 3), 4000, 3000, 6.0, id="12 megapixels"),
        pytest.param((128, 128, 3), 4000, 3000, 0.1, id="12 megapixels, borders everywhere"),
        pytest.param((1, 2, 8), 2000, 6000, 6.0, id="one row of cells"),
        pytest.param((64, 64, 40), 3000, 4000, 6.0, id="40 classes"),
        pytest.param((64, 64, 4), 1_000_000, 2, 0.1, id="two rows of pixels"),
        pytest.param((16, 2048, 2), 1, 60_000, 0.1, id="one column of pixels"),
        pytest.param((1024, 1024, 4), 300, 200, 0.1, id="smaller than the output"),
    ],
)
def test_memory_is_bounded_for_every_image(
    shape: tuple[int, int, int],
    width: int,
    height: int,
    sharpness: float,
    traced: Callable[[Callable[[], object]], int],
) -> None:
    case = Case(probabilities_of(*shape, 0, sharpness), (0, 0, width, height), width, height)
    results: list[ClassMask] = []
    assert traced(lambda: results.append(mask_of_image(*case))) < allowed(case)
    assert results[0].pixels.sum() == width * height


@pytest.mark.parametrize("cells", [2, 128])
def test_a_probability_map_of_twelve_megapixels_is_made_strip_by_strip(
    cells: int, traced: Callable[[Callable[[], object]], int]
) -> None:
    values = probabilities_of(cells, cells, 3, 0, 6.0)[:, :, 0]
    spent = traced(lambda: probability_map_of_image(values, (0, 0, 4000, 3000), 4000, 3000))
    assert spent < 4000 * 3000 + 8 * 1024 * 1024 + 60 * 4000
