"""A network is opened with its input and classes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("keras")

import keras

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_STRETCH
from spyglass_contract.errors import FailedPrecondition, ModelError, NotFound
from spyglass_contract.model.card import validate_input
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.inspect.class_names import find_class
from spyglass_training.inspect.opened import open_model

pytestmark = pytest.mark.training


@pytest.mark.slow
def test_a_run_has_its_input_and_classes(trained_run: RunFolder) -> None:
    for path in (trained_run.path, trained_run.model):
        opened = open_model(path)
        assert opened.input == trained_run.read_record().input
        assert opened.class_names == tuple("0123456789")


def test_a_network_without_a_record_takes_images_stretched_to_its_input(
    classifier: keras.Model, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "other.keras")
    opened = open_model(tmp_path / "other.keras")
    validate_input(opened.input)
    assert (opened.input.height, opened.input.width) == (48, 64)
    assert (opened.input.color_mode, opened.input.resize) == (COLOR_MODE_RGB, RESIZE_RULE_STRETCH)
    assert opened.class_names == ("0", "1", "2")


def test_a_file_that_is_not_a_network_of_images_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        open_model(tmp_path / "nowhere.keras")
    with pytest.raises(ModelError, match="no training run"):
        open_model(tmp_path)
    (tmp_path / "text.keras").write_text("no network")
    with pytest.raises(ModelError, match=r"text\.keras"):
        open_model(tmp_path / "text.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "flat.keras")
    with pytest.raises(FailedPrecondition, match="must take images"):
        open_model(tmp_path / "flat.keras")


def test_a_class_is_found_by_name_or_number() -> None:
    names = ("tabby", "tiger cat", "7")
    assert [find_class(text, names) for text in ("tiger cat", "0", "7")] == [1, 0, 2]
    with pytest.raises(NotFound, match="tiger cat"):
        find_class("tigercat", names)
    with pytest.raises(NotFound):
        find_class("3", names)
