"""The options of a training run have their effect, on a network that learns in seconds."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from keras import layers

from spyglass.v1.model_pb2 import TASK_SEGMENT, InputSpec
from spyglass_contract.errors import FailedPrecondition, InvalidInput
from spyglass_contract.model.run_folder import DataRecord, RunFolder, RunRecord
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.models import Architecture, find_architecture
from spyglass_training.models.parts.image_input import image_input, photograph
from spyglass_training.run.training import train
from tiny_training import COLORS, QUICK, SPEC, Interruption, build, colors, dataset

pytestmark = [pytest.mark.training, pytest.mark.slow]

Run = Callable[..., RunRecord]


def build_frozen(spec: InputSpec, class_count: int) -> keras.Model:
    model = build(spec, class_count)
    model.get_layer("base").trainable = False
    return model


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def start(architecture: Architecture = COLORS, classes: int = 3, **overrides: Any) -> RunRecord:
        options = dataclasses.replace(QUICK, **overrides)
        return train(architecture, dataset(classes), options, RunFolder(tmp_path / "run"))

    return start


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def epochs_of(folder: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in folder.epochs.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("classes", [2, 3], ids=["one sigmoid", "softmax"])
def test_a_network_learns_two_classes_and_more(run: Run, classes: int) -> None:
    record = run(classes=classes, epochs=6)
    assert record.metrics["test_accuracy"] > 0.9
    assert record.epochs[-1]["val_accuracy"] > 0.9 and record.epochs[-1]["loss"] < record.epochs[0]["loss"]


def test_training_stops_after_the_patience_without_a_better_epoch(run: Run, folder: RunFolder) -> None:
    # At this learning rate the weights do not change, and the first epoch stays the best.
    assert len(run(learning_rate=1e-12, epochs=9, patience=2).epochs) == 3
    assert len(epochs_of(folder)) == 3


@pytest.mark.parametrize(
    ("monitor", "keep"), [("val_accuracy", "best"), ("val_loss", "best"), ("val_loss", "last")]
)
def test_the_chosen_epoch_is_kept(run: Run, folder: RunFolder, monitor: str, keep: str) -> None:
    # The learning rate is so high that the metrics go up and down.
    record = run(monitor=monitor, keep=keep, learning_rate=0.5, schedule="constant", epochs=6)
    figures = [epoch[monitor] for epoch in record.epochs]
    expected = figures[-1] if keep == "last" else (min if monitor == "val_loss" else max)(figures)
    model, validation = keras.models.load_model(folder.model), dataset().validation
    assert validation is not None
    found = model.evaluate(validation.pixels, validation.labels, verbose=0, return_dict=True)
    assert found[monitor.removeprefix("val_")] == pytest.approx(expected, abs=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_with_a_message(run: Run, folder: RunFolder) -> None:
    with pytest.raises(InvalidInput, match=r"loss became (nan|inf) in epoch \d, step \d+; use a lower"):
        run(optimizer="sgd", learning_rate=1e38)
    assert not folder.record.exists()


def test_tensorboard_files_are_written(run: Run, folder: RunFolder) -> None:
    pytest.importorskip("tensorboard")
    run(tensorboard=True, epochs=1)
    assert list(folder.tensorboard.glob("train/events*")) and list(
        folder.tensorboard.glob("validation/events*")
    )


def test_the_error_without_tensorboard_says_how_to_install_it(run: Run) -> None:
    if importlib.util.find_spec("tensorboard") is not None:
        pytest.skip("the package is installed")
    with pytest.raises(FailedPrecondition, match="pip install tensorboard"):
        run(tensorboard=True)


def test_balanced_classes_weight_rare_classes_more(run: Run, folder: RunFolder) -> None:
    unchanged = {"learning_rate": 1e-12, "epochs": 1}
    run(class_weights="balanced", classes=2, **unchanged)
    weighted = epochs_of(folder)[0]
    split = dataset(2).train
    model = keras.models.load_model(folder.model)
    # Computed in numpy: the mean over the classes of the mean loss of each class.
    second = np.asarray(model(split.pixels, training=False))[:, 0]
    losses = -np.log(np.where(split.labels == 1, second, 1 - second))
    by_class = [losses[split.labels == label].mean() for label in (0, 1)]
    # Dropout causes a small difference.
    assert weighted["metrics"]["loss"] == pytest.approx(np.mean(by_class), rel=0.05)
    assert abs(losses.mean() - np.mean(by_class)) > 0.02


def test_mixed_precision_learns_and_outputs_float32(run: Run, folder: RunFolder) -> None:
    assert run(precision="mixed_bfloat16", epochs=6).metrics["test_accuracy"] > 0.9
    model = keras.models.load_model(folder.model)
    assert model.get_layer("base").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32" and model.get_layer("base").kernel.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"


def test_features_of_a_frozen_base_are_cached_and_the_whole_network_is_kept(
    run: Run, folder: RunFolder
) -> None:
    architecture = dataclasses.replace(COLORS, builder=build_frozen, cached_layer="features")
    record = run(architecture, epochs=6, keep="last")
    model, validation = keras.models.load_model(folder.model), dataset().validation
    assert validation is not None and model.input_shape == (None, 8, 8, 3)
    probabilities = np.asarray(model(validation.pixels, training=False))
    found = -np.log(probabilities[np.arange(len(validation)), validation.labels]).mean()
    assert found == pytest.approx(record.epochs[-1]["val_loss"], abs=1e-5)
    assert record.metrics["test_accuracy"] > 0.9
    keras.utils.set_random_seed(QUICK.seed)
    np.testing.assert_array_equal(
        build_frozen(SPEC, 3).get_layer("base").kernel, model.get_layer("base").kernel
    )


def test_a_second_phase_fine_tunes_the_frozen_layers_at_a_low_learning_rate(
    run: Run, folder: RunFolder
) -> None:
    architecture = dataclasses.replace(COLORS, builder=build_frozen, fine_tuned_layers=("base",))
    run(architecture, epochs=2, fine_tune_epochs=3, fine_tune_learning_rate=1e-3, keep="last")
    epochs = epochs_of(folder)
    assert [(epoch["number"], epoch["phase"]) for epoch in epochs] == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert [epoch["learning_rate"] for epoch in epochs[2:]] == pytest.approx([1e-3] * 3)
    keras.utils.set_random_seed(QUICK.seed)
    before = np.asarray(build_frozen(SPEC, 3).get_layer("base").kernel)
    moved = np.abs(np.asarray(keras.models.load_model(folder.model).get_layer("base").kernel) - before)
    assert 0 < moved.max() < 0.05


def test_the_second_phase_has_a_schedule_of_its_own(run: Run, folder: RunFolder) -> None:
    architecture = dataclasses.replace(COLORS, builder=build_frozen, fine_tuned_layers=("base",))
    run(
        architecture,
        epochs=1,
        schedule="constant",
        fine_tune_epochs=4,
        fine_tune_learning_rate=1e-3,
        fine_tune_schedule="linear",
    )
    rates = [epoch["learning_rate"] for epoch in epochs_of(folder)]
    assert rates == pytest.approx([0.05, 7.5e-4, 5e-4, 2.5e-4, 0], abs=1e-8)


@pytest.mark.parametrize("epoch", [2, 3], ids=["between the phases", "in the second phase"])
def test_a_run_of_two_phases_is_resumed_in_the_right_one(run: Run, tmp_path: Path, epoch: int) -> None:
    architecture = dataclasses.replace(COLORS, builder=build_frozen, fine_tuned_layers=("base",))
    options = dataclasses.replace(QUICK, epochs=2, fine_tune_epochs=2, fine_tune_learning_rate=1e-3)
    interrupted = RunFolder(tmp_path / "interrupted")
    with pytest.raises(RuntimeError, match="interrupted"):
        train(architecture, dataset(), options, interrupted, watchers=[Interruption(epoch)])
    resumed = train(architecture, dataset(), options, interrupted, resume=True)
    whole = run(architecture, epochs=2, fine_tune_epochs=2, fine_tune_learning_rate=1e-3)
    assert resumed.epochs == whole.epochs and resumed.metrics == whole.metrics


def build_masks(spec: InputSpec, class_count: int) -> keras.Model:
    image = image_input(spec)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Rescaling(1 / 255)(image))
    return keras.Model(image, layers.Conv2D(class_count, 1, activation="softmax")(x))


def squares(count: int, seed: int) -> Split:
    """Images of a bright square on a dark ground, with their masks."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 60, (count, 16, 16, 3), np.uint8)
    masks = np.zeros((count, 16, 16), np.uint8)
    for index, (top, left) in enumerate(random.integers(0, 8, (count, 2))):
        masks[index, top : top + 8, left : left + 8] = 1
    pixels[masks == 1] += 150
    return Split(pixels, masks)


def test_segmentation_is_evaluated_by_class(tmp_path: Path) -> None:
    record = DataRecord("squares", "CC0-1.0", "0" * 64)
    data = Dataset(record, ("ground", "square"), squares(96, 0), squares(12, 1), squares(12, 2))
    architecture = Architecture("squares", build_masks, photograph(16), "Finds squares.", task=TASK_SEGMENT)
    folder = RunFolder(tmp_path / "run")
    options = dataclasses.replace(QUICK, epochs=6, class_weights="balanced")
    found = train(architecture, data, options, folder)
    assert found.task == TASK_SEGMENT == folder.read_record().task
    assert found.metrics["test_iou_square"] > 0.6 and found.metrics["test_iou_ground"] > 0.6
    both = found.metrics["test_iou_square"] + found.metrics["test_iou_ground"]
    assert found.metrics["test_mean_iou"] == pytest.approx(both / 2, abs=1e-6)
    assert folder.worst.stat().st_size > 0 and "| square | 768 |" in folder.report.read_text(encoding="utf-8")


def test_a_network_for_another_task_than_the_data_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="another task"):
        train(find_architecture("pet-segmentation"), dataset(), QUICK, RunFolder(tmp_path / "run"))


def test_too_few_images_for_a_validation_part_are_rejected(tmp_path: Path) -> None:
    few = dataclasses.replace(dataset(), train=colors(3, 3, 0), validation=None)
    with pytest.raises(InvalidInput, match="too few images"):
        train(COLORS, few, QUICK, RunFolder(tmp_path / "run"))


@pytest.mark.parametrize(
    "name", ["schedule", "fine_tune_schedule", "monitor", "keep", "class_weights", "precision"]
)
def test_an_unknown_value_of_an_option_is_rejected(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"{name} must be one of .*, not 'magic'"):
        dataclasses.replace(QUICK, **{name: "magic"})
