"""The order of the images, the weights of the classes and the learning rate, step by step."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass_training.run.batches import Batches, balanced_weights
from spyglass_training.run.phases import Schedule

pytestmark = pytest.mark.training


def batches(**more: object) -> Batches:
    return Batches([np.arange(10) * 10], np.arange(10), 4, **more)  # type: ignore[arg-type]


def labels_in_order(source: Batches) -> list[int]:
    return [int(label) for index in range(len(source)) for label in source[index][1]]


def test_without_a_seed_batches_come_in_order_and_the_last_one_is_short() -> None:
    source = batches()
    source.begin(3)
    assert len(source) == 3 and labels_in_order(source) == list(range(10))
    inputs, labels = source[2]
    assert list(inputs) == [80, 90] and list(labels) == [8, 9]


def test_the_order_of_an_epoch_does_not_depend_on_earlier_epochs() -> None:
    source, late = batches(seed=1), batches(seed=1)
    orders = []
    for epoch in range(3):
        source.begin(epoch)
        orders.append(labels_in_order(source))
        assert sorted(orders[-1]) == list(range(10))
    late.begin(2)
    assert labels_in_order(late) == orders[2]
    assert orders[0] != orders[1] != orders[2] != list(range(10))
    other = batches(seed=2)
    other.begin(2)
    assert labels_in_order(other) != orders[2]


def test_every_epoch_draws_for_each_image_the_array_that_it_comes_from() -> None:
    """Image i of array k is 100 k + i."""
    inputs = [np.arange(100) + 100 * source for source in range(4)]
    source, again = (Batches(inputs, np.arange(100), 8, seed=5) for _ in range(2))
    drawn = []
    for epoch in range(3):
        source.begin(epoch)
        pairs = [pair for index in range(len(source)) for pair in zip(*source[index], strict=True)]
        assert all(taken % 100 == label for taken, label in pairs)
        drawn.append({int(label): int(taken) // 100 for taken, label in pairs})
        assert set(drawn[-1].values()) == {0, 1, 2, 3}
    assert drawn[0] != drawn[1] != drawn[2]
    again.begin(2)
    assert [int(taken) for taken in again[0][0]] == [int(taken) for taken in source[0][0]]


def test_inputs_go_with_their_labels_and_the_weights_of_their_classes() -> None:
    source = batches(seed=1, class_weights=np.arange(10, dtype=np.float32) / 2)
    source.begin(0)
    for index in range(len(source)):
        inputs, labels, weights = source[index]
        np.testing.assert_array_equal(inputs, labels * 10)
        np.testing.assert_array_equal(weights, labels / 2)


def test_pixels_of_a_mask_get_the_weights_of_their_classes() -> None:
    masks = np.array([[[0, 1], [2, 0]]], np.uint8)
    weights = np.array([1, 2, 3], np.float32)
    source = Batches([np.zeros((1, 2, 2, 3), np.uint8)], masks, 1, class_weights=weights)
    np.testing.assert_array_equal(source[0][2], [[[1, 2], [3, 1]]])


def test_balanced_weights_give_classes_equal_totals_and_a_mean_of_one() -> None:
    labels = np.array([0] * 6 + [1] * 2 + [3] * 4)
    weights = balanced_weights(labels, 4)
    totals = np.bincount(labels, weights=weights[labels], minlength=4)
    np.testing.assert_allclose(totals, [4, 4, 0, 4])
    assert weights[labels].mean() == pytest.approx(1)


STEPS = 100


def rates(kind: str, warmup: int = 0) -> list[float]:
    schedule = Schedule(kind, 0.2, STEPS, warmup)
    return [float(schedule(step)) for step in range(STEPS + 1)]


def test_the_cosine_schedule_equals_that_of_keras() -> None:
    theirs = keras.optimizers.schedules.CosineDecay(0.2, STEPS)
    expected = [float(theirs(step)) for step in range(STEPS + 1)]
    np.testing.assert_allclose(rates("cosine"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "middle", "end"),
    [("constant", 0.2, 0.2), ("linear", 0.1, 0.0), ("cosine", 0.1, 0.0), ("exponential", 0.02, 0.002)],
)
def test_a_schedule_starts_at_the_learning_rate_and_falls_to_its_end(
    kind: str, middle: float, end: float
) -> None:
    found = rates(kind)
    assert [found[0], found[50], found[100]] == pytest.approx([0.2, middle, end], abs=1e-6)
    assert found == sorted(found, reverse=True)


def test_a_warm_up_rises_linearly_and_the_fall_takes_the_remaining_steps() -> None:
    found = rates("linear", warmup=20)
    np.testing.assert_allclose(found[:20], 0.2 * np.arange(1, 21) / 20, rtol=1e-5)
    np.testing.assert_allclose(found[20:], 0.2 * np.linspace(1, 0, 81), atol=1e-6)


def test_a_schedule_is_saved_and_read_with_its_optimiser() -> None:
    optimizer = keras.optimizers.SGD(Schedule("exponential", 0.2, STEPS, 10))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    np.testing.assert_allclose(float(again.learning_rate), 0.2 / 10, rtol=1e-5)
