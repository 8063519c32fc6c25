"""The certificate: golden tensors and images are run again, and every kind of difference is reported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec, ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.certificate import (
    MOST_TOLERANCE,
    REPLAY_TOLERANCE,
    golden_tensor,
    pixels_sha256,
    replay,
    verify,
)

MakeCard = Callable[..., ModelCard]
Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def failure(card: ModelCard, run: Run) -> str:
    with pytest.raises(CertificateError) as raised:
        verify(card, run)
    return raised.value.message


def test_the_network_that_was_certified_passes(make_card: MakeCard, classify_colors: Run) -> None:
    found = verify(make_card(), classify_colors)

    assert found.max_abs_diff < 1e-6
    assert found.changed_pixels == ()


def test_a_golden_tensor_is_the_same_everywhere() -> None:
    tensor = golden_tensor(7, InputSpec(height=5, width=4, color_mode=COLOR_MODE_GREY))

    assert tensor.shape == (1, 5, 4, 1)
    assert tensor.ravel()[:8].tolist() == [175, 240, 136, 19, 196, 228, 50, 58]


def test_the_hash_is_of_the_pixels_row_by_row() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)

    assert pixels_sha256(pixels) == hashlib.sha256(bytes(range(24))).hexdigest()
    assert pixels_sha256(np.asfortranarray(pixels)) == pixels_sha256(pixels)


def test_golden_tensors_and_images_run_one_at_a_time(make_card: MakeCard, classify_colors: Run) -> None:
    shapes = []

    def record(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        shapes.append(pixels.shape)
        return classify_colors(pixels)

    card = make_card()
    replay(card, record)

    runs = len(card.certificate.tensors) + len(card.certificate.images)
    assert shapes == [(1, 8, 8, 3)] * runs


@pytest.mark.parametrize("part", ["tensors", "images"])
def test_a_certificate_without_tensors_or_images_is_rejected(
    make_card: MakeCard, classify_colors: Run, part: str
) -> None:
    card = make_card()
    card.certificate.ClearField(part)

    assert "no certificate" in failure(card, classify_colors)


def test_a_network_with_other_weights_fails(make_card: MakeCard, classify_colors: Run) -> None:
    message = failure(make_card(), lambda pixels: classify_colors(pixels)[:, ::-1])

    assert "differ from the certificate's" in message


@pytest.mark.parametrize(("factor", "passes"), [(0.5, True), (2, False)])
def test_differences_below_the_tolerance_pass_and_above_it_fail(
    make_card: MakeCard, classify_colors: Run, factor: float, passes: bool
) -> None:
    card = make_card()
    for golden in (*card.certificate.tensors, *card.certificate.images):
        golden.expected[0] += factor * REPLAY_TOLERANCE

    if passes:
        assert verify(card, classify_colors).max_abs_diff == pytest.approx(
            factor * REPLAY_TOLERANCE, rel=1e-2
        )
    else:
        assert "differ" in failure(card, classify_colors)


@pytest.mark.parametrize(("factor", "passes"), [(1.5, True), (3, False)])
def test_a_network_with_more_rounding_noise_may_differ_more(
    make_card: MakeCard, classify_colors: Run, factor: float, passes: bool
) -> None:
    card = make_card()
    card.certificate.tolerance = 1e-3
    card.certificate.images[-1].expected[0] += factor * 1e-3

    if passes:
        verify(card, classify_colors)
    else:
        assert "more than 2e-03" in failure(card, classify_colors)


@pytest.mark.parametrize("tolerance", [1.0, float("inf")])
def test_the_tolerance_of_a_card_has_a_limit(
    make_card: MakeCard, classify_colors: Run, tolerance: float
) -> None:
    card = make_card()
    card.certificate.tolerance = tolerance
    card.certificate.images[-1].expected[0] += 3 * MOST_TOLERANCE

    assert "more than 2e-02" in failure(card, classify_colors)


def test_one_wrong_output_among_right_ones_fails(make_card: MakeCard, classify_colors: Run) -> None:
    card = make_card()
    card.certificate.images[-1].expected[0] += 0.01

    assert "images 0.01" in failure(card, classify_colors)


def test_images_with_other_pixels_and_the_same_output_pass_and_are_reported(
    make_card: MakeCard, classify_colors: Run
) -> None:
    card = make_card()
    card.certificate.images[1].pixels_sha256 = "0" * 64

    assert verify(card, classify_colors).changed_pixels == ("green.png",)


def test_the_error_names_the_images_with_other_pixels(make_card: MakeCard, classify_colors: Run) -> None:
    card = make_card()
    card.certificate.images[0].encoded = card.certificate.images[1].encoded

    assert "the pixels of red.png differ" in failure(card, classify_colors)


def test_the_error_names_a_golden_image_that_cannot_be_decoded(
    make_card: MakeCard, classify_colors: Run
) -> None:
    card = make_card()
    card.certificate.images[0].encoded = card.certificate.images[0].encoded[:40]

    assert failure(card, classify_colors).startswith("golden red.png: ")


def test_a_network_that_does_not_run_fails(make_card: MakeCard) -> None:
    def broken(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise RuntimeError("no such kernel")

    assert failure(make_card(), broken) == "golden tensor 0: the network does not run: no such kernel"


def test_an_output_of_another_size_fails(make_card: MakeCard, classify_colors: Run) -> None:
    assert "[1, 2]" in failure(make_card(), lambda pixels: classify_colors(pixels)[:, :2])


def test_an_output_with_more_values_than_the_card_has_classes_fails(
    make_card: MakeCard, classify_colors: Run
) -> None:
    card = make_card()
    del card.class_names[2:]

    assert "2 classes" in failure(card, classify_colors)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_output_that_is_not_finite_fails(make_card: MakeCard, value: float) -> None:
    assert "not finite" in failure(make_card(), lambda pixels: np.full((1, 3), value, np.float32))


@pytest.mark.parametrize("part", ["tensors", "images"])
def test_an_expected_output_that_is_not_finite_fails(
    make_card: MakeCard, classify_colors: Run, part: str
) -> None:
    card = make_card()
    getattr(card.certificate, part)[0].expected[1] = float("nan")

    assert "not finite" in failure(card, classify_colors)
