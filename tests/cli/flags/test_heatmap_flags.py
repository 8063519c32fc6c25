"""The text about the score that a model's heatmaps explain."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_cli.flags.heatmap import explanation


@pytest.mark.parametrize(
    ("score", "shown"), [("", "floats (gradcam)"), ("probability", "floats (gradcam, of the probability)")]
)
def test_the_explained_score_is_shown_if_the_card_has_it(
    make_card: Callable[..., ModelCard], score: str, shown: str
) -> None:
    card = make_card()
    card.explained_layer, card.explained_score = "floats", score
    assert explanation(card) == shown
