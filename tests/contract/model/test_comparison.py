"""Two networks on the same images: agreement, accuracy, mean IoU, and what is too little."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass_contract.masks.placement import VOID
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.precisions import Tolerance, shortfall


def outputs(*classes: int, count: int = 3) -> NDArray[np.float32]:
    """Return probabilities of which these classes are the largest."""
    return np.eye(count, dtype=np.float32)[list(classes)]


def test_agreement_and_accuracy_count_images() -> None:
    found = Comparison(3)

    found.add(np.array([0, 1]), outputs(0, 1), np.array([0, 1]))
    found.add(np.array([2, 2]), outputs(2, 0), np.array([2, 0]))

    assert (found.images, found.agreement) == (4, 0.75)
    assert found.metric == "accuracy"
    assert (found.original_metric, found.reduced_metric, found.metric_loss) == (0.75, 1.0, -0.25)


def test_the_mean_iou_counts_the_pixels_that_have_a_label() -> None:
    found = Comparison(3)
    labels = np.array([[[0, 0, 1, VOID]]], np.uint8)

    found.add(np.array([[[0, 1, 1, 2]]]), outputs(0, 0, 1, 1).reshape(1, 1, 4, 3), labels)

    assert found.agreement == 0.5
    assert found.metric == "mean IoU"
    # Class 0: 1 of 2 pixels; class 1: 1 of 2; class 2 occurs only where there is no label.
    assert found.original_metric == 0.5
    assert found.reduced_metric == 1.0


def test_without_labels_there_is_no_metric() -> None:
    found = Comparison(3)

    found.add(np.array([0]), outputs(0))

    assert found.metric_loss is None
    assert shortfall(found, Tolerance()) == ""


def test_labels_of_another_size_than_the_output_are_not_counted() -> None:
    found = Comparison(3)

    found.add(np.array([[[0]]]), outputs(0).reshape(1, 1, 1, 3), np.zeros((1, 2, 2), np.uint8))

    assert found.agreement == 1.0 and found.original_metric is None


def test_the_shortfall_states_every_figure() -> None:
    found = Comparison(3)
    found.add(np.array([0, 1, 2, 2]), outputs(0, 1, 2, 0), np.array([0, 1, 2, 2]))

    assert shortfall(found, Tolerance()) == (
        "75.00% of 4 images keep their class, and at least 99.00% must; the accuracy falls from 100.00% to "
        "75.00%, and it may fall by at most 0.5 points"
    )
    assert shortfall(found, Tolerance(0.75, 0.25)) == ""


def test_a_comparison_on_no_image_is_too_little() -> None:
    assert shortfall(Comparison(3), Tolerance(0.0, 1.0)) == "it was compared on no image"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_too_little(value: float) -> None:
    found = Comparison(3)
    output = outputs(0)
    output[0, 1] = value

    found.add(np.array([1]), output)

    assert "not finite" in shortfall(found, Tolerance(0.0, 1.0))
