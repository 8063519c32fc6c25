"""Cards of files from before the resampling had a value for "not stated"."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass.v1.model_pb2 import (
    RESAMPLING_BICUBIC,
    RESAMPLING_BILINEAR,
    RESAMPLING_UNSPECIFIED,
    SCORE_KIND_SOFTMAX,
    SCORE_KIND_UNSPECIFIED,
    InputSpec,
    ModelCard,
    Resampling,
)
from spyglass_contract.errors import CardError
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import METADATA_KEY, card_from_metadata, card_to_json


def read(fields: dict[str, Any]) -> ModelCard:
    return card_from_metadata({METADATA_KEY: json.dumps(fields)})


@pytest.fixture
def fields(make_card: Callable[..., ModelCard]) -> dict[str, Any]:
    """The JSON of a card of an early version: it states neither a resampling nor the kind of its scores."""
    found: dict[str, Any] = json.loads(card_to_json(make_card()))
    del found["input"]["resampling"]
    del found["score_kind"]
    return found


def test_a_resampling_that_is_not_stated_is_bilinear(fields: dict[str, Any]) -> None:
    card = read(fields)
    assert card.input.resampling == RESAMPLING_BILINEAR
    assert card.score_kind == SCORE_KIND_UNSPECIFIED


def test_a_resampling_that_is_stated_keeps_its_name(fields: dict[str, Any]) -> None:
    for value in (RESAMPLING_BICUBIC, RESAMPLING_BILINEAR):
        fields["input"]["resampling"] = Resampling.Name(value)
        assert read(fields).input.resampling == value


@pytest.mark.parametrize("number", [0, 1, 2, "1"])
def test_the_number_of_a_resampling_is_rejected_because_it_was_another_one(
    fields: dict[str, Any], number: object
) -> None:
    fields["input"]["resampling"] = number
    with pytest.raises(
        CardError, match=r"resampling .* is unknown; known: RESAMPLING_UNSPECIFIED, RESAMPLING_BIL"
    ):
        read(fields)


def test_pixels_of_a_spec_without_a_resampling_are_bilinear(make_spec: Callable[..., InputSpec]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    unstated, bilinear, bicubic = (
        prepare(noise, make_spec(resampling=value)).pixels
        for value in (RESAMPLING_UNSPECIFIED, RESAMPLING_BILINEAR, RESAMPLING_BICUBIC)
    )
    np.testing.assert_array_equal(unstated, bilinear)
    assert (unstated != bicubic).any()


def test_an_unknown_kind_of_scores_is_rejected(fields: dict[str, Any]) -> None:
    fields["score_kind"] = "SCORE_KIND_SOFTMAX"
    assert read(fields).score_kind == SCORE_KIND_SOFTMAX
    fields["score_kind"] = "SCORE_KIND_ENERGY"
    with pytest.raises(CardError, match="the score_kind 'SCORE_KIND_ENERGY' is unknown"):
        read(fields)
