"""The texts about the score that a model's heatmaps explain, and about their gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_cli.flags.heatmap import explanation, print_explained


@pytest.mark.parametrize(
    ("score", "shown"), [("", "floats (gradcam)"), ("probability", "floats (gradcam, of the probability)")]
)
def test_the_explained_score_is_shown_if_the_card_has_it(
    make_card: Callable[..., ModelCard], score: str, shown: str
) -> None:
    card = make_card()
    card.explained_layer, card.explained_score = "floats", score
    assert explanation(card) == shown


@pytest.mark.parametrize(
    ("method", "error", "told", "warned"),
    [
        ("gradcam", 2e-4, "agrees with finite differences to 2e-04", ""),
        ("gradcam", 0.0, "agrees with finite differences to 0e+00", ""),
        ("layercam", None, "", "was not compared with finite differences"),
        ("scorecam", None, "", ""),
        ("eigencam", None, "", ""),
    ],
)
def test_the_check_of_the_gradient_is_told(
    method: str,
    error: float | None,
    told: str,
    warned: str,
    make_card: Callable[..., ModelCard],
    capsys: pytest.CaptureFixture[str],
) -> None:
    card = make_card()
    card.explained_layer, card.heatmap_method = "floats", method
    card.explained_score = "" if method == "eigencam" else "logit"
    if error is not None:
        card.certificate.gradient_error = error
    print_explained(card)
    found = capsys.readouterr()
    assert told in found.out and warned in found.err
    assert bool(told) == ("finite" in found.out) and bool(warned) == bool(found.err)
