"""The counts on the test part equal those of numpy, and the report shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from PIL import Image

from spyglass_contract.model.outputs import class_probabilities
from spyglass_training.datasets.dataset import Split
from spyglass_training.report.confusion import draw_confusion
from spyglass_training.report.evaluation import evaluate
from spyglass_training.report.mistakes import draw_masks, worst_mistakes

pytestmark = pytest.mark.training

NAMES = ("low", "middle", "high")


def lookup(*rows: list[float]) -> keras.Model:
    """Return a network that outputs row v of `rows` for a pixel of value v."""
    pixel = keras.Input((1, 1, 1), dtype="uint8")
    table = keras.layers.Embedding(len(rows), len(rows[0]), weights=[np.array(rows)])
    return keras.Model(pixel, keras.layers.Reshape((len(rows[0]),))(table(pixel)))


def split(values: list[int], labels: list[int]) -> Split:
    return Split(np.array(values, np.uint8).reshape(-1, 1, 1, 1), np.array(labels))


MODEL = lookup([0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.05, 0.05, 0.9])
TEST = split([0, 0, 1, 2, 2, 1], [0, 1, 1, 2, 0, 2])


def test_counts_ratios_and_loss_follow_their_definitions() -> None:
    found = evaluate(MODEL, TEST, NAMES, batch_size=4)
    np.testing.assert_array_equal(found.confusion, [[1, 0, 1], [1, 1, 0], [0, 1, 1]])
    np.testing.assert_allclose(found.recall, [1 / 2, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found.precision, [1 / 2, 1 / 2, 1 / 2])
    np.testing.assert_allclose(found.intersection_over_union, [1 / 3, 1 / 3, 1 / 3])
    assert found.metrics["test_accuracy"] == pytest.approx(0.5)
    expected = -np.log([0.7, 0.2, 0.6, 0.9, 0.05, 0.3]).mean()
    assert found.metrics["test_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_class_without_images_and_predictions_has_no_ratio() -> None:
    found = evaluate(MODEL, split([0, 0], [0, 0]), NAMES, batch_size=2)
    np.testing.assert_array_equal(found.recall, [1, np.nan, np.nan])
    np.testing.assert_array_equal(found.precision, [1, np.nan, np.nan])


def test_one_output_stands_for_two_classes() -> None:
    found = evaluate(lookup([0.2], [0.9]), split([0, 1, 1], [0, 1, 0]), ("no", "yes"), batch_size=2)
    np.testing.assert_array_equal(found.confusion, [[1, 1], [0, 1]])
    np.testing.assert_allclose(found.true_probability, [0.8, 0.9, 0.1], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4, 3), (2, 5, 1), (2, 5, 5, 1), (2, 5, 5, 3)])
def test_other_outputs_are_unchanged(shape: tuple[int, ...]) -> None:
    output = np.zeros(shape, np.float32)
    assert class_probabilities(output) is output


def test_the_worst_mistakes_come_first_and_correct_predictions_are_left_out() -> None:
    found = evaluate(MODEL, TEST, NAMES, batch_size=6)
    assert list(worst_mistakes(found, TEST.labels)) == [4, 1, 5]


def test_masks_are_counted_by_pixel() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1), dtype="uint8"), keras.layers.Lambda(_one_hot)])
    truth = np.array([[[0, 0], [1, 2]], [[2, 2], [2, 2]]], np.uint8)
    masks = np.array([[[0, 1], [1, 2]], [[2, 2], [2, 0]]], np.uint8)
    found = evaluate(model, Split(masks[..., np.newaxis], truth), NAMES, batch_size=1)
    np.testing.assert_array_equal(found.predicted, masks)
    np.testing.assert_allclose(found.intersection_over_union, [1 / 3, 1 / 2, 4 / 5])
    assert found.metrics["test_mean_iou"] == pytest.approx((1 / 3 + 1 / 2 + 4 / 5) / 3)
    assert found.metrics["test_iou_high"] == pytest.approx(0.8)
    assert found.metrics["test_accuracy"] == pytest.approx(6 / 8)


def _one_hot(pixels: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.one_hot(pixels[..., 0], 3)


def test_predicted_masks_are_drawn_in_the_same_colours_as_true_masks(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2, 2, 1), dtype="uint8"), keras.layers.Lambda(_one_hot)])
    masks = np.array([[[0, 1], [1, 2]]], np.uint8)
    data = Split(masks[..., np.newaxis], masks)
    draw_masks(data, evaluate(model, data, NAMES, batch_size=1), tmp_path / "masks.png")
    with Image.open(tmp_path / "masks.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    middle, right = (
        pixels[:, third * pixels.shape[1] // 3 : (third + 1) * pixels.shape[1] // 3] for third in (1, 2)
    )
    colors = [
        {tuple(color) for color in np.unique(part.reshape(-1, 3), axis=0) if np.ptp(color) > 60}
        for part in (middle, right)
    ]
    assert colors[0] & colors[1] and len(colors[0] & colors[1]) >= 3


@pytest.mark.parametrize("classes", [2, 30])
def test_the_confusion_matrix_is_dark_on_the_diagonal_if_all_predictions_are_correct(
    classes: int, tmp_path: Path
) -> None:
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(np.eye(classes, dtype=np.int64) * 7, names, tmp_path / "confusion.png")
    with Image.open(tmp_path / "confusion.png") as image:
        blue = np.asarray(image.convert("RGB")).astype(int)
    dark = (blue[..., 2] - blue[..., 0] > 60) & (blue[..., 0] < 30)
    rows, columns = np.nonzero(dark)
    assert dark.sum() > 1000
    # The dark cells run from the upper left to the lower right.
    assert np.corrcoef(rows, columns)[0, 1] > 0.7
