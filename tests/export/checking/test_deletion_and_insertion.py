"""Curves of a network for which the right order of pixels is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from spyglass_export.checking.baselines import by_chance, centre
from spyglass_export.checking.blank import blurred, mean_color
from spyglass_export.checking.check import CENTRE, CHANCE, HEATMAP, Subject, check_curves
from spyglass_export.checking.curves import Curves, area, curves, hottest_first, mean_curves, transition
from spyglass_export.checking.network import ExplainedNetwork

Draw = Callable[[int, int], NDArray[np.uint8]]
STEPS = 16


@pytest.fixture(scope="module")
def network(texture_model: Callable[..., onnx.ModelProto]) -> ExplainedNetwork:
    return ExplainedNetwork(texture_model().SerializeToString())


def _random() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.mark.parametrize(("top", "left"), [(2, 2), (18, 4), (10, 18)])
def test_a_perfect_map_beats_chance_and_its_own_opposite(
    network: ExplainedNetwork, textured: Draw, top: int, left: int
) -> None:
    pixels = textured(top, left)
    perfect = np.zeros((32, 32), np.float32)
    perfect[top : top + 12, left : left + 12] = 1

    def measure(heatmap: NDArray[np.float32]) -> Curves:
        return curves(pixels, heatmap, lambda each: network.probabilities(each)[:, 0], STEPS, _random())

    best, worst, luck = measure(perfect), measure(1 - perfect), measure(by_chance(7, 7, _random()))
    assert best.deletion_auc < luck.deletion_auc < worst.deletion_auc
    assert best.insertion_auc > luck.insertion_auc > worst.insertion_auc


def test_the_heatmap_is_measured_together_with_the_baselines(
    network: ExplainedNetwork, textured: Draw
) -> None:
    subjects = [Subject(f"{top}", textured(top, 1)) for top in (1, 18)]
    for checked in check_curves(network, subjects, STEPS, seed=0):
        assert network.card.class_names[checked.class_index] == "texture"
        found = checked.curves
        assert set(found) == {HEATMAP, CHANCE, CENTRE}
        for baseline in (CHANCE, CENTRE):
            assert found[HEATMAP].deletion_auc < found[baseline].deletion_auc
            assert found[HEATMAP].insertion_auc > found[baseline].insertion_auc
        assert found[HEATMAP].deletion[0] == pytest.approx(checked.probability, abs=1e-6)
        assert found[HEATMAP].insertion[-1] == pytest.approx(checked.probability, abs=1e-6)


def test_the_same_seed_gives_the_same_numbers(network: ExplainedNetwork, textured: Draw) -> None:
    def measure(seed: int) -> Any:
        (checked,) = check_curves(network, [Subject("a", textured(3, 5))], STEPS, seed)
        return checked.curves[CHANCE].deletion.tolist()

    assert measure(1) == measure(1) != measure(2)


def test_score_cam_is_checked_too(texture_model: Callable[..., onnx.ModelProto], textured: Draw) -> None:
    network = ExplainedNetwork(texture_model("scorecam").SerializeToString())
    heatmap = network.heatmap(textured(2, 2), 0)
    # The checkerboard covers the first four rows and columns of cells.
    assert max(np.unravel_index(heatmap.argmax(), heatmap.shape)) < 4
    assert heatmap[:3, :3].mean() > 2 * heatmap[4:, 4:].mean()


def test_every_step_changes_an_equal_number_of_pixels_the_hottest_first() -> None:
    start, end = np.zeros((2, 3, 1), np.uint8), np.full((2, 3, 1), 9, np.uint8)
    heat = np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.5]], np.float32)
    order = hottest_first(heat, _random())
    assert order.tolist() == [1, 3, 5, 2, 4, 0]
    images = transition(start, end, order, 3)
    assert [int((image == 9).sum()) for image in images] == [0, 2, 4, 6]
    assert images[1, ..., 0].tolist() == [[0, 9, 0], [9, 0, 0]]


def test_pixels_of_equal_heat_come_in_random_order() -> None:
    flat = np.zeros((10, 10), np.float32)
    order = hottest_first(flat, _random())
    assert sorted(order.tolist()) == list(range(100))
    assert order.tolist() != list(range(100))


def test_areas_follow_the_trapezoidal_rule() -> None:
    assert area(np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert area(np.array([0.0, 1.0, 1.0])) == pytest.approx(0.75)
    both = mean_curves([Curves(np.zeros(3), np.ones(3)), Curves(np.ones(3), np.ones(3))])
    assert (both.deletion_auc, both.insertion_auc) == (0.5, 1)


def test_deletion_uses_the_mean_colour_and_insertion_starts_from_a_blurred_image(textured: Draw) -> None:
    pixels = np.concatenate([textured(2, 2), 255 - textured(9, 9), np.zeros((32, 32, 1), np.uint8)], axis=2)
    blank, soft = mean_color(pixels), blurred(pixels)
    assert (blank == np.rint(pixels.mean(axis=(0, 1)))).all()
    assert soft.shape == pixels.shape and soft.dtype == np.uint8
    assert soft[..., 0].std() < pixels[..., 0].std() / 2
    assert soft[..., 0].mean() == pytest.approx(pixels[..., 0].mean(), abs=2)


def test_the_centre_baseline_is_hottest_in_the_middle_and_symmetric() -> None:
    bell = centre(5, 7)
    assert bell.shape == (5, 7) and bell[2, 3] == bell.max() == 1
    np.testing.assert_allclose(bell, bell[::-1, ::-1], atol=1e-7)
