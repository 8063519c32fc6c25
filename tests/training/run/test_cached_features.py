"""Features are computed once, independently of other images, and kept for other runs."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.model.run_folder import RunFolder
from spyglass_training.models import Architecture, find_architecture
from spyglass_training.models.parts.augmentation import augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input
from spyglass_training.run import cached_features
from spyglass_training.run.cached_features import Features, cut, mirrored
from spyglass_training.run.options import TrainingOptions
from spyglass_training.run.training import train
from tiny_training import QUICK, SPEC, Interruption, build, dataset

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def base() -> keras.Model:
    keras.utils.set_random_seed(0)
    return cut(build(SPEC, 3), "features")[0]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (11, SPEC.height, SPEC.width, 3), np.uint8)


def test_features_equal_the_output_of_the_network(base: keras.Model, pixels: np.ndarray) -> None:
    np.testing.assert_allclose(Features(base, 4).of(pixels), base(pixels), rtol=1e-5, atol=1e-6)


def test_the_features_of_an_image_do_not_depend_on_the_other_images(
    base: keras.Model, pixels: np.ndarray
) -> None:
    features = Features(base, 4)
    whole = features.of(pixels)
    for index in range(len(pixels)):
        np.testing.assert_array_equal(features.of(pixels[index : index + 1])[0], whole[index])


def test_no_images_have_no_features(base: keras.Model, pixels: np.ndarray) -> None:
    assert Features(base, 4).of(pixels[:0]).shape == (0, *base.output_shape[1:])


class Counted:
    """A base that counts the batches it computes."""

    def __init__(self, base: keras.Model) -> None:
        self.base, self.batches = base, 0
        self.input_shape = base.input_shape

    def predict_on_batch(self, pixels: np.ndarray) -> np.ndarray:
        self.batches += 1
        return self.base.predict_on_batch(pixels)


def test_features_in_the_cache_are_not_computed_again(
    base: keras.Model, pixels: np.ndarray, tmp_path: Path
) -> None:
    first = Features(base, 4, tmp_path).of(pixels[:8])
    counted = Counted(base)
    features = Features(counted, 4, tmp_path)  # type: ignore[arg-type]
    assert counted.batches == 1
    # In another order and with new images, only the new ones are computed, in one batch.
    found = features.of(np.concatenate([pixels[8:], pixels[:8][::-1]]))
    assert counted.batches == 2
    np.testing.assert_array_equal(found[3:], first[::-1])
    np.testing.assert_array_equal(found[:3], Features(base, 4).of(pixels[8:]))


@pytest.mark.parametrize("damage", ["cut short", "changed", "empty"])
def test_damaged_features_are_computed_again(
    base: keras.Model, pixels: np.ndarray, tmp_path: Path, damage: str
) -> None:
    first = Features(base, 4, tmp_path).of(pixels)
    for file in tmp_path.glob("features-*/*"):
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes({"cut short": data[:-7], "changed": data, "empty": b""}[damage])
    np.testing.assert_array_equal(Features(base, 4, tmp_path).of(pixels), first)
    counted = Counted(base)
    Features(counted, 4, tmp_path).of(pixels)  # type: ignore[arg-type]
    assert counted.batches == 1


class Sums:
    """A base that sums each image's pixels."""

    input_shape = (None, SPEC.height, SPEC.width, 3)

    def predict_on_batch(self, pixels: np.ndarray) -> np.ndarray:
        return pixels.sum(axis=(1, 2), dtype=np.float32)


def test_several_runs_can_write_the_same_features_at_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (200, SPEC.height, SPEC.width, 3), np.uint8)
    runs = [Features(Sums(), 4, tmp_path) for _ in range(4)]  # type: ignore[arg-type]
    together = threading.Barrier(len(runs))

    def compute(run: Features) -> np.ndarray:
        together.wait()
        return run.of(pixels)

    with ThreadPoolExecutor(len(runs)) as pool:
        for found in pool.map(compute, runs):
            np.testing.assert_array_equal(found, pixels.sum(axis=(1, 2), dtype=np.float32))
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.iterdir())) == len(pixels)


def test_networks_with_other_weights_do_not_share_features(
    base: keras.Model, pixels: np.ndarray, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    other = cut(build(SPEC, 3), "features")[0]
    Features(base, 4, tmp_path).of(pixels)
    np.testing.assert_array_equal(Features(other, 4, tmp_path).of(pixels), Features(other, 4).of(pixels))
    assert len(list(tmp_path.iterdir())) == 2


def test_images_are_mirrored_in_four_ways() -> None:
    image = np.array([[[[1], [2]], [[3], [4]]]], np.uint8)
    found = [way.ravel().tolist() for way in mirrored(image)]
    assert found == [[1, 2, 3, 4], [2, 1, 4, 3], [3, 4, 1, 2], [4, 3, 2, 1]]


@pytest.mark.parametrize(
    ("augment", "is_cached", "is_mirrored"),
    [("none", True, False), ("mirror", True, True), ("part", False, False), ("photograph", False, False)],
)
def test_features_are_cached_only_without_augmentation_or_with_mirroring(
    augment: str, is_cached: bool, is_mirrored: bool
) -> None:
    architecture = find_architecture("vgg16-finetune").with_choices(augment=augment)
    assert (architecture.is_cached, architecture.is_mirrored) == (is_cached, is_mirrored)
    assert find_architecture("vgg16-features").is_cached
    assert not find_architecture("mini-xception").with_choices(augment=augment).is_cached


def _vgg16(**choices: str) -> Architecture:
    return find_architecture("vgg16-finetune").with_input((32, 32)).with_choices(weights="none", **choices)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_fine_tuning_on_cached_features_keeps_the_whole_network(tmp_path: Path, precision: str) -> None:
    architecture = _vgg16(augment="mirror")
    data = dataset(2, size=32)
    options = TrainingOptions(
        epochs=1, fine_tune_epochs=2, fine_tune_learning_rate=1e-3, keep="last", precision=precision
    )
    records, folders = [], [RunFolder(tmp_path / name) for name in ("first", "second")]
    for folder in folders:
        records.append(train(architecture, data, options, folder, cache=tmp_path / "cache"))
    # Four mirrored copies of the training part, and the validation part once.
    assert len(list((tmp_path / "cache").glob("features-*/*"))) == 4 * len(data.train) + len(data.validation)
    assert records[0].epochs == records[1].epochs and records[0].metrics == records[1].metrics
    kept = keras.models.load_model(folders[0].model)
    keras.utils.set_random_seed(options.seed)
    before = architecture.build(architecture.input, 2)
    moved = {
        layer.name: np.abs(np.asarray(layer.kernel) - np.asarray(before.get_layer(layer.name).kernel)).max()
        for layer in kept.layers
        if hasattr(layer, "kernel")
    }
    assert {name for name, change in moved.items() if change > 0} == {
        *(f"block5_conv{number}" for number in (1, 2, 3)),
        "dense",
        *(name for name in moved if not name.startswith("block") and name != "dense"),
    }
    probabilities = np.asarray(kept.predict(data.validation.pixels, verbose=0))[:, 0].astype("float32")
    correct = (probabilities > 0.5) == (data.validation.labels == 1)
    assert correct.mean() == pytest.approx(records[0].epochs[-1]["val_accuracy"], abs=1e-6)


def _build_mirrored(spec: InputSpec, class_count: int, *, augment: str = "mirror") -> keras.Model:
    """Two convolutions: the first never learns, the second learns in the second phase."""
    image = image_input(spec)
    x = augmented(layers.Rescaling(1 / 255)(image), augment)
    x = layers.Conv2D(6, 3, activation="relu", name="frozen", trainable=False)(x)
    x = layers.Conv2D(6, 3, activation="relu", name="tuned", trainable=False)(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    return keras.Model(image, classifier_head(x, class_count))


def _mirrored() -> Architecture:
    return Architecture(
        "mirrored", _build_mirrored, SPEC, "", cached_layer="frozen", fine_tuned_layers=("tuned",)
    )


@pytest.mark.slow
def test_features_too_large_for_memory_are_computed_in_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # 6×6 positions and 6 channels in float32: four frames of 160 images and one of 40.
    needed = (4 * 160 + 40) * 6 * 6 * 6 * 4
    options = dataclasses.replace(QUICK, epochs=4, keep="last")
    found = {}
    for name, limit in (("held", needed), ("not held", needed - 1)):
        monkeypatch.setattr(cached_features, "MEMORY_BYTES", limit)
        caplog.clear()
        record = train(_mirrored(), dataset(), options, RunFolder(tmp_path / name), cache=tmp_path / "cache")
        found[name] = [message for message in caplog.messages if "computes them again" in message]
        assert record.metrics["test_accuracy"] > 0.7
    assert not found["held"] and len(found["not held"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("epoch", "cached_again"), [(1, True), (2, False), (3, True)])
def test_a_run_on_mirrored_features_is_resumed_to_the_last_bit(
    tmp_path: Path, epoch: int, cached_again: bool
) -> None:
    architecture = _mirrored()
    assert architecture.is_mirrored
    options = dataclasses.replace(QUICK, epochs=2, fine_tune_epochs=2, fine_tune_learning_rate=1e-3)
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")
    cache = tmp_path / "cache"
    with pytest.raises(RuntimeError, match="interrupted"):
        train(architecture, dataset(), options, killed, watchers=[Interruption(epoch)], cache=cache)
    resumed = train(
        architecture, dataset(), options, killed, resume=True, cache=cache if cached_again else None
    )
    uninterrupted = train(architecture, dataset(), options, whole)
    assert resumed.epochs == uninterrupted.epochs and resumed.metrics == uninterrupted.metrics
    of_both = (keras.models.load_model(folder.model).get_weights() for folder in (killed, whole))
    for found, expected in zip(*of_both, strict=True):
        np.testing.assert_array_equal(found, expected)
