"""Statistics of images and predictions, and their distance from a baseline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import Histogram
from spyglass.v1.model_pb2 import Statistics as StatisticsMessage
from spyglass_contract.model.drift import drift
from spyglass_contract.model.statistics import FORMATS, Statistics, normalised_entropy


def pixels(value: int) -> NDArray[np.uint8]:
    return np.full((8, 8, 3), value, np.uint8)


def probabilities(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def population(count: int, chance: np.random.Generator, *, likely: float = 0.5) -> Statistics:
    """Statistics of images of two classes: of the first with the probability `likely`."""
    found = Statistics()
    for _ in range(count):
        score = chance.uniform(0.5, 1)
        row = (score, 1 - score) if chance.random() < likely else (1 - score, score)
        found.add(probabilities(*row), pixels(int(chance.integers(256))), (640, 480), "JPEG")
    return found


def test_an_image_goes_into_one_bin_of_each_quantity() -> None:
    found = Statistics()
    found.add(probabilities(0.1, 0.72, 0.18), pixels(255), (640, 480), "PNG")

    assert found.images == 1
    assert found.counts == {
        "score": {14: 1},
        "class": {1: 1000},
        "entropy": {int(20 * normalised_entropy(probabilities(0.1, 0.72, 0.18))): 1},
        "brightness": {15: 1},
        "pixels": {18: 1},
        "format": {FORMATS.index("PNG"): 1},
    }


def test_the_classes_of_pixels_share_an_image() -> None:
    cells = np.zeros((8, 8, 3), np.float32)
    cells[:, :4, 0] = cells[:, 4:, 2] = 1
    found = Statistics()
    found.add(cells, pixels(0))

    assert found.counts["class"] == {0: 500, 2: 500}
    assert found.counts["score"] == {19: 1}
    assert "format" not in found.counts and "pixels" not in found.counts


@pytest.mark.parametrize(
    ("row", "entropy"), [((1.0, 0.0), 0.0), ((0.5, 0.5), 1.0), ((1.0,), 0.0), ((0.25,) * 4, 1.0)]
)
def test_the_entropy_is_that_of_equal_probabilities_at_most(row: tuple[float, ...], entropy: float) -> None:
    assert normalised_entropy(probabilities(*row)) == pytest.approx(entropy, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 5, 31, 33, 500])
def test_the_entropy_of_few_classes_and_of_many_is_one_formula(classes: int) -> None:
    row = np.random.default_rng(classes).dirichlet(np.ones(classes)).astype(np.float32)
    expected = -(row * np.log(row)).sum() / math.log(classes)
    assert normalised_entropy(row) == pytest.approx(expected, abs=1e-6)
    assert normalised_entropy(row[np.newaxis]) == pytest.approx(expected, abs=1e-6)
    # Scores that do not sum to 1 are divided by their sum.
    assert normalised_entropy(row * 3) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(width=32, allow_nan=True), min_size=1, max_size=5))
def test_any_scores_can_be_counted(row: list[float]) -> None:
    found = Statistics()
    with np.errstate(all="ignore"):
        found.add(probabilities(*row), pixels(3))
    assert sum(found.counts["score"].values()) == sum(found.counts["entropy"].values()) == 1


def test_a_message_holds_all_of_it() -> None:
    found = population(30, np.random.default_rng(0))

    again = Statistics.from_message(StatisticsMessage.FromString(found.message().SerializeToString()))
    assert (again.images, again.counts) == (found.images, found.counts)


def test_a_broken_message_is_no_error() -> None:
    message = StatisticsMessage(
        images=2, histograms=[Histogram(quantity="score", bins=[1, 2, 3], counts=[4])]
    )
    assert Statistics.from_message(message).counts == {"score": {1: 4}}


def test_statistics_add_up() -> None:
    first, second = (population(10, np.random.default_rng(seed)) for seed in (1, 2))
    whole = first.merged([second])

    assert whole.images == 20
    assert sum(whole.counts["brightness"].values()) == 20
    assert first.images == 10


def test_one_population_is_stable_whatever_the_number_of_images() -> None:
    for count in (60, 500):
        chance = np.random.default_rng(7)
        found = drift(population(count, chance), population(count, chance))
        assert {each.quantity for each in found} == {
            "score",
            "class",
            "entropy",
            "brightness",
            "pixels",
            "format",
        }
        assert all(each.verdict == "stable" for each in found), found
        assert all(0 <= each.divergence < 0.15 for each in found)


def test_chance_exceeds_its_limit_in_about_one_of_a_hundred_cases() -> None:
    chance = np.random.default_rng(4)
    found = [
        each
        for _ in range(40)
        for each in drift(population(200, chance), population(200, chance))
        if each.quantity in ("score", "class", "brightness")
    ]
    # `psi` is without the average of chance, so this is a little less often.
    assert sum(each.psi > each.chance for each in found) <= 4
    # The average is nearly right: the index is above it about half of the time.
    assert 0.25 < np.mean([each.psi > 0 for each in found]) < 0.75


def test_other_classes_shift_the_classes_only() -> None:
    chance = np.random.default_rng(5)
    found = {
        each.quantity: each for each in drift(population(400, chance), population(400, chance, likely=0.95))
    }

    assert found["class"].verdict == "shifted"
    assert all(found[name].verdict == "stable" for name in ("score", "brightness", "pixels", "format"))


def test_populations_without_a_common_bin_have_a_divergence_near_one() -> None:
    dark, light = Statistics(), Statistics()
    for _ in range(1000):
        dark.add(probabilities(1, 0), pixels(0))
        light.add(probabilities(1, 0), pixels(255))
    found = {each.quantity: each for each in drift(dark, light)}

    assert found["brightness"].divergence == pytest.approx(1, abs=0.02)
    assert math.isfinite(found["brightness"].psi) and found["brightness"].verdict == "shifted"
    assert found["score"].psi == found["score"].divergence == 0


def test_without_images_there_is_no_drift() -> None:
    some = population(5, np.random.default_rng(0))
    assert drift(Statistics(), some) == drift(some, Statistics()) == []
