"""Refinements, applied to the probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from spyglass.v1.segment_pb2 import Refinement
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.masks.upsampling import mask_of_image
from spyglass_server.masks.refinements import KnownClass, known_classes, refined

LARGEST = (KnownClass(1, largest_component=True, fill_holes=False),)
FILLED = (KnownClass(1, largest_component=False, fill_holes=True),)


def probabilities_of(*rows: str) -> NDArray[np.float32]:
    """Three classes: `.` is class 0 at 0.7, `#` class 1 at 0.8 with class 2 next, `o` class 2 at 0.6."""
    scores = {".": (0.7, 0.2, 0.1), "#": (0.05, 0.8, 0.15), "o": (0.1, 0.3, 0.6)}
    return np.array([[scores[cell] for cell in row] for row in rows], np.float32)


def classes_of(probabilities: NDArray[np.float32]) -> list[str]:
    return ["".join(".#o"[index] for index in row) for row in probabilities.argmax(axis=2)]


def test_only_the_largest_region_stays_and_the_other_cells_get_the_next_class() -> None:
    given = refined(probabilities_of("##..#", "##..#", "....."), LARGEST)
    assert classes_of(given) == ["##..o", "##..o", "....."]
    # Without class 1, class 2 has 0.15 of the remaining 0.05 + 0.15.
    assert given[0, 4].tolist() == pytest.approx([0.25, 0, 0.75])


def test_a_region_is_connected_by_edges_and_not_by_corners() -> None:
    image = ("##...", "##...", "..###")
    assert classes_of(refined(probabilities_of(*image), LARGEST)) == ["##...", "##...", "..ooo"]


def smooth_probabilities(seed: int) -> NDArray[np.float32]:
    """Blobs of 2 to 5 classes, float32 [24, 24, classes], some barely more probable than the next."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(24, 24, random.integers(2, 6)))
    logits = ndimage.gaussian_filter(noise, (*[random.uniform(0.7, 2.5)] * 2, 0))
    raised = np.exp(logits / logits.std() * random.uniform(0.5, 3))
    return (raised / raised.sum(axis=2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("side", [240, 101])
def test_the_largest_region_is_still_one_region_in_the_enlarged_mask(side: int) -> None:
    regions = []
    for seed in range(60):
        given = refined(smooth_probabilities(seed), LARGEST)
        mask = mask_of_image(given, (0, 0, side, side), side, side).mask
        regions.append(ndimage.label(mask == 1, np.ones((3, 3)))[1])
    assert regions == [1] * 60


def test_outside_of_the_region_cells_of_other_classes_keep_their_probabilities() -> None:
    given = refined(probabilities_of("##...", "##...", "....."), LARGEST)
    np.testing.assert_allclose(given[:, 3:, 1], 0.2)


def test_cells_that_a_class_encloses_get_that_class_with_probability_1() -> None:
    given = refined(probabilities_of(".###.", ".#o#.", ".###o"), FILLED)
    assert classes_of(given) == [".###.", ".###.", ".###o"]
    assert given[1, 2].tolist() == [0, 1, 0]


def test_a_ring_joined_at_corners_encloses_but_a_ring_with_an_opening_does_not() -> None:
    assert classes_of(refined(probabilities_of(".#.", "#.#", ".#."), FILLED)) == [
        ".#.",
        "###",
        ".#.",
    ]
    open_ring = ("###", "#.#", "#.#")
    assert classes_of(refined(probabilities_of(*open_ring), FILLED)) == list(open_ring)


@pytest.mark.parametrize("known", [LARGEST, FILLED])
def test_a_class_without_any_cell_changes_nothing(known: tuple[KnownClass, ...]) -> None:
    probabilities = probabilities_of("..o", "o..")
    np.testing.assert_array_equal(refined(probabilities, known), probabilities)


@pytest.mark.parametrize("certain", [0, 1, 2])
def test_another_class_is_taken_even_if_all_others_have_probability_0(certain: int) -> None:
    probabilities = np.zeros((1, 4, 3), np.float32)
    probabilities[0, :, certain] = 1
    probabilities[0, 2] = np.roll((1, 0, 0), certain + 1)
    known = (KnownClass(certain, largest_component=True, fill_holes=False),)
    given = refined(probabilities, known)
    assert (given.argmax(axis=2)[0, :2] == certain).all()
    assert given[0, 3, certain] == 0
    np.testing.assert_array_equal(given.sum(axis=2), 1)


def test_refined_probabilities_sum_to_1_and_the_output_of_the_network_is_unchanged() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet([0.3] * 4, (20, 30)).astype(np.float32)
    before = probabilities.copy()
    known = [KnownClass(index, True, True) for index in range(4)]
    given = refined(probabilities, known)
    np.testing.assert_array_equal(probabilities, before)
    np.testing.assert_allclose(given.sum(axis=2), 1, atol=1e-6)
    assert given.min() >= 0


def test_a_class_is_given_by_name_or_index() -> None:
    refine = [
        Refinement(class_name="cat", largest_component=True),
        Refinement(class_index=0, fill_holes=True),
    ]
    assert known_classes(refine, ("background", "cat")) == (
        KnownClass(1, largest_component=True, fill_holes=False),
        KnownClass(0, largest_component=False, fill_holes=True),
    )


def test_an_unknown_class_and_too_many_refinements_are_refused() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'cat'") as caught:
        known_classes([Refinement(class_name="cta")], ("background", "cat"))
    assert caught.value.field == "refine.class_name"
    with pytest.raises(LimitExceeded):
        known_classes([Refinement(class_index=0)] * 33, ("background", "cat"))
