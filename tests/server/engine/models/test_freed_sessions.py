"""A model that nothing uses any more is freed at once, with its sessions: Python looks for cycles late."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.session import Session
from tiny_classifier import SIZE


@pytest.fixture
def without_cycles() -> Iterator[None]:
    """Python does not look for cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("provider", ["auto", "openvino"])
def test_a_model_that_ran_and_explained_is_freed_at_once(
    explaining_models: Path, provider: str, without_cycles: None
) -> None:
    if provider == "openvino":
        pytest.importorskip("openvino")
    path = explaining_models / "colors/1/model.onnx"
    model = Model.load(path, Resources("cpu", provider=provider, workers=1))
    pixels = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    model.network.run(pixels)
    model.network.explain(pixels, [0])
    assert isinstance(model.network, Session)
    whole = weakref.ref(model.network._whole.get())
    kept = [weakref.ref(model), weakref.ref(model.network), whole]

    del model

    assert [reference() for reference in kept] == [None] * 3


def test_a_model_with_a_second_network_for_lone_requests_is_freed_at_once(
    explaining_models: Path, without_cycles: None
) -> None:
    model = Model.load(explaining_models / "colors/1/model.onnx", Resources("cpu", workers=1))
    assert model.source
    model.use_wide(model.source.open_network(2))
    kept = [weakref.ref(model), weakref.ref(model._wide)]

    del model

    assert [reference() for reference in kept] == [None] * 2
