"""A server with profiles: it serves before they are measured, and callers see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass.v1.model_pb2 import GetModelRequest, ListModelsRequest, ModelRef, ServedModel

COLORS = GetModelRequest(model=ModelRef(name="colors"))


@pytest.fixture
def models(make_model: Callable[[], Path]) -> Path:
    return make_model().parents[2]


def test_a_server_measures_its_models_and_another_one_uses_the_profiles(
    models: Path, run_server: Callable[..., Any], eventually: Callable[[Callable[[], bool]], None]
) -> None:
    first = run_server(models=models, profile_seconds=0.05)

    def served() -> ServedModel:
        return first.vision.GetModel(COLORS).served

    eventually(lambda: served().HasField("profile"))
    measured = served()
    assert measured.profile.runs[0].batch == measured.profile.runs[0].threads == 1
    assert measured.profile.image_seconds == measured.profile.runs[0].seconds > 0
    assert measured.max_batch == measured.profile.max_batch

    (listed,) = run_server(models=models, profile_seconds=0.05).vision.ListModels(ListModelsRequest()).models
    assert listed.profile == measured.profile


def test_a_server_without_profiles_measures_nothing_and_uses_none(
    models: Path, run_server: Callable[..., Any], eventually: Callable[[Callable[[], bool]], None]
) -> None:
    measured = run_server(models=models, profile_seconds=0.05)
    eventually(lambda: bool(measured.vision.GetModel(COLORS).served.HasField("profile")))

    served = run_server(models=models, profile_seconds=0).vision.GetModel(COLORS).served

    assert not served.HasField("profile")
    assert served.max_batch == 1
