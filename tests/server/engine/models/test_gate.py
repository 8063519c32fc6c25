"""The gate of a reduced precision, with networks in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from quantisable import colored_images
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.held_out import HeldOut
from spyglass_contract.model.precisions import Tolerance
from spyglass_server.engine.models.gate import PrecisionError, pass_gate
from tiny_classifier import tiny_card, tiny_output

Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def held_out(count: int = 20) -> HeldOut:
    return HeldOut(*colored_images(count))


def wrong_after(count: int) -> Run:
    """Return a network that is right for the first `count` images, and then gives the next class."""
    seen = 0

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        nonlocal seen
        seen += 1
        return np.roll(tiny_output(pixels), int(seen > count), axis=1)

    return run


def test_a_network_that_keeps_the_classes_passes() -> None:
    found = pass_gate(
        tiny_card(), tiny_output, lambda pixels: 0.9 * tiny_output(pixels), held_out(), Tolerance()
    )

    # The card has three golden images.
    assert (found.images, found.agreement) == (23, 1.0)
    assert found.original_metric == found.reduced_metric


def test_the_golden_images_suffice_if_there_are_no_others() -> None:
    assert pass_gate(tiny_card(), tiny_output, tiny_output, None, Tolerance()).images == 3
    with pytest.raises(PrecisionError, match=r"66.67% of 3 images keep their class"):
        pass_gate(tiny_card(), tiny_output, wrong_after(2), None, Tolerance())


def test_a_network_that_loses_classes_is_refused_with_the_figures() -> None:
    with pytest.raises(PrecisionError, match=r"95.65% of 23 images keep their class") as raised:
        pass_gate(tiny_card(), tiny_output, wrong_after(22), held_out(), Tolerance())

    assert raised.value.reason == "PRECISION_REFUSED"
    found = pass_gate(tiny_card(), tiny_output, wrong_after(22), held_out(), Tolerance(0.95, 0.06))
    assert found.agreed == 22


def test_a_loss_of_accuracy_alone_is_refused() -> None:
    with pytest.raises(PrecisionError, match=r"the accuracy falls from 100.00% to 90.00%") as raised:
        pass_gate(tiny_card(), tiny_output, wrong_after(21), held_out(), Tolerance(agreement=0.5))
    assert "keep their class" not in raised.value.message


def test_images_that_are_not_reached_in_time_are_left_out() -> None:
    found = pass_gate(tiny_card(), tiny_output, wrong_after(22), held_out(), Tolerance(), seconds=-1)

    assert found.images == 3


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(PrecisionError, match="numbers that are not finite"):
        pass_gate(tiny_card(), tiny_output, lambda pixels: tiny_output(pixels) * value, None, Tolerance(0, 1))


def test_a_network_of_another_output_is_refused() -> None:
    with pytest.raises(PrecisionError, match=r"it returns \[1, 2\]"):
        pass_gate(tiny_card(), tiny_output, lambda pixels: tiny_output(pixels)[:, :2], None, Tolerance(0, 1))


def test_a_network_that_does_not_run_is_refused() -> None:
    def fail(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise RuntimeError("no such kernel")

    with pytest.raises(PrecisionError, match="it does not run: no such kernel"):
        pass_gate(tiny_card(), tiny_output, fail, None, Tolerance(0, 1))


def test_the_original_must_keep_its_certificate() -> None:
    with pytest.raises(CertificateError, match="differ from the certificate's"):
        pass_gate(tiny_card(), lambda pixels: 1 - tiny_output(pixels), tiny_output, None, Tolerance())
