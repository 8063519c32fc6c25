"""The tiny classifier with heatmaps, and a server for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass_contract.model.card import card_from_metadata, write_card
from tiny_classifier import tiny_card, write_tiny_model


def add_heatmap(path: Path, explained_layer: str = "floats") -> Path:
    """Add a heatmap to the tiny network at `path`. The map of a class is its colour channel of the input."""
    onnx = pytest.importorskip("onnx")
    from spyglass_export.gradcam import attach_gradcam

    model = attach_gradcam(onnx.load(str(path)), feature_map=explained_layer).model
    card = card_from_metadata({entry.key: entry.value for entry in model.metadata_props})
    card.explained_layer = explained_layer
    write_card(model, card)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def attach_heatmap() -> Callable[[Path], Path]:
    return add_heatmap


@pytest.fixture(scope="session")
def explaining_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: `colors` and `twins` with heatmaps, `plain` without. `twins` has two `red`."""
    root = tmp_path_factory.mktemp("explaining-models")
    twins = tiny_card("twins")
    twins.class_names[1] = "red"
    write_tiny_model(root, tiny_card("plain"))
    for card in (tiny_card(), twins):
        add_heatmap(write_tiny_model(root, card))
    return root


@pytest.fixture(scope="session")
def explaining_server(explaining_models: Path) -> Iterator[str]:
    """HOST:PORT of a server with the models of `explaining_models`; `colors` is the default model."""
    pytest.importorskip("onnxruntime")
    from spyglass_server.server import Server
    from spyglass_server.settings import ServerSettings

    settings = ServerSettings(
        host="127.0.0.1", port=0, models=explaining_models, default_model=["colors"], profile_seconds=0
    )
    server = Server(settings)
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop(grace=0)
