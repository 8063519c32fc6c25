"""A short training run on real digits learns, and writes every file of a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("tensorflow")
import keras

from spyglass_contract.errors import InvalidInput
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.datasets.formats import mnist
from spyglass_training.golden import RECIPES
from spyglass_training.models import find_architecture
from spyglass_training.run.training import TrainingOptions, train

pytestmark = [pytest.mark.training, pytest.mark.slow]


def test_a_network_learns_digits_in_three_epochs(trained_run: RunFolder) -> None:
    record = trained_run.read_record()
    assert record.metrics["test_accuracy"] > 0.93
    losses = [epoch["loss"] for epoch in record.epochs]
    assert len(losses) == 3 and losses == sorted(losses, reverse=True)


def test_the_saved_network_is_the_evaluated_one(trained_run: RunFolder, digits_file: Path) -> None:
    test = mnist.load(digits_file, find_architecture("mnist-convnet").input).test
    model = keras.models.load_model(trained_run.model)
    predicted = model.predict(test.pixels, verbose=0).argmax(axis=1)
    measured = trained_run.read_record().metrics["test_accuracy"]
    assert (predicted == test.labels).mean() == pytest.approx(measured, abs=1e-6)


def test_the_record_has_the_data_options_and_versions(trained_run: RunFolder, digits_file: Path) -> None:
    fields = json.loads(trained_run.record.read_text(encoding="utf-8"))
    assert fields["architecture"] == "mnist-convnet" and fields["parameters"] == 93_322
    assert fields["data"]["sha256"] == hashlib.sha256(digits_file.read_bytes()).hexdigest()
    assert fields["data"]["licence"] == "CC BY-SA 3.0"
    assert fields["options"]["epochs"] == 3 and fields["options"]["optimizer"] == "adam"
    assert {"python", "keras", "tensorflow", "numpy", "pillow"} == set(fields["library_versions"])
    assert fields["input"]["color_mode"] == "COLOR_MODE_GREY"
    assert fields["class_names"] == list("0123456789")
    assert {"accuracy", "loss", "val_accuracy", "val_loss"} == set(fields["epochs"][0])


def test_the_record_reads_back_as_it_was_written(trained_run: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder(tmp_path)
    copy.write_record(trained_run.read_record())
    assert copy.record.read_bytes() == trained_run.record.read_bytes()


def test_the_curves_are_an_image(trained_run: RunFolder) -> None:
    with Image.open(trained_run.curves) as image:
        curves = np.asarray(image.convert("RGB"))
    assert curves.shape[0] > 200 and curves.shape[1] > 500
    assert len(np.unique(curves.reshape(-1, 3), axis=0)) > 20


def test_the_golden_images_are_digits_of_the_test_part(trained_run: RunFolder, digits_file: Path) -> None:
    spec = trained_run.read_record().input
    test = mnist.load(digits_file, spec).test
    golden = trained_run.read_golden()
    for index, recipe in enumerate(RECIPES):
        # The small images lost too much detail to be compared.
        if recipe.scale > 1:
            pixels = prepare(golden[recipe.name], spec).pixels.astype(float)
            assert np.abs(pixels - test.pixels[index]).mean() < 12


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    digits_file: Path, tmp_path: Path
) -> None:
    architecture = find_architecture("mnist-convnet")
    dataset = mnist.load(digits_file, architecture.input)

    def a_kernel(seed: int, name: str) -> NDArray[np.float32]:
        folder = RunFolder(tmp_path / name)
        train(architecture, dataset, TrainingOptions(epochs=1, seed=seed), folder)
        return np.asarray(keras.models.load_model(folder.model).get_layer("conv3").kernel)

    once, again, other = a_kernel(1, "once"), a_kernel(1, "again"), a_kernel(2, "other")
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_run_does_not_overwrite_another(trained_run: RunFolder, digits_file: Path) -> None:
    architecture = find_architecture("mnist-convnet")
    dataset = mnist.load(digits_file, architecture.input)
    with pytest.raises(InvalidInput, match="not empty"):
        train(architecture, dataset, TrainingOptions(epochs=1), trained_run)
