"""A network starts from the weights of a run on images of another size."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import keras
import numpy as np

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models import find_architecture

pytestmark = [pytest.mark.training, pytest.mark.slow]

NETWORK = find_architecture("pet-segmentation")


@pytest.fixture(scope="module")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, keras.Model]:
    model = NETWORK.build(NETWORK.with_input((16, 24)).input, 3)
    path = tmp_path_factory.mktemp("run") / "model.keras"
    model.save(path)
    return path, model


def test_a_network_of_another_size_gets_every_weight(smaller: tuple[Path, keras.Model]) -> None:
    path, model = smaller
    larger = NETWORK.build(NETWORK.with_input((32, 32)).input, 3, weights=str(path))
    for taken, given in zip(larger.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(taken, given)


def test_the_error_names_a_missing_file() -> None:
    with pytest.raises(NotFound, match="there is no file nowhere"):
        NETWORK.build(NETWORK.input, 3, weights="nowhere.keras")


def test_a_network_with_other_classes_is_rejected(smaller: tuple[Path, keras.Model]) -> None:
    with pytest.raises(ModelError, match="belongs to another network"):
        NETWORK.build(NETWORK.input, 4, weights=str(smaller[0]))


def test_a_file_that_is_not_a_network_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"is not a \.keras file"):
        NETWORK.build(NETWORK.input, 3, weights=str(tmp_path / "model.keras"))
