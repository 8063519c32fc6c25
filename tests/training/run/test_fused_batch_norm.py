"""The fused kernel against Keras's own batch normalisation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
import tensorflow

from spyglass_training.models import find_architecture
from spyglass_training.run.fused_batch_norm import fuse_batch_norm

pytestmark = pytest.mark.training


def _pair(**options: object) -> tuple[keras.Model, keras.Model]:
    """Two equal networks with one normalisation and trained weights; the second is fused."""
    rng = np.random.default_rng(0)
    pair = []
    for _ in range(2):
        layer = keras.layers.BatchNormalization(momentum=0.9, **options)
        pair.append(keras.Sequential([keras.Input((5, 6, 3)), layer]))
    weights = [rng.uniform(0.5, 2, each.shape) for each in pair[0].get_weights()]
    for model in pair:
        model.set_weights(weights)
    assert fuse_batch_norm(pair[1]) == 1
    return pair[0], pair[1]


def _images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(3, 2, (count, 5, 6, 3)).astype("float32")


def _gradients(model: keras.Model, images: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Return gradients of a weighted sum of outputs, by the images and the trainable weights."""
    x = tensorflow.constant(images)
    with tensorflow.GradientTape() as tape:
        tape.watch(x)
        total = tensorflow.reduce_sum(model(x, training=True) * weights)
    return [each.numpy() for each in tape.gradient(total, [x, *model.trainable_variables])]


@pytest.mark.parametrize("count", [1, 4])
def test_outputs_and_moving_averages_in_training_equal_those_of_keras(count: int) -> None:
    plain, fused = _pair()
    for _ in range(3):
        expected, got = (model(_images(count), training=True) for model in (plain, fused))
        np.testing.assert_allclose(got, expected, atol=1e-5)
    for expected, got in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_gradients_equal_those_of_keras() -> None:
    plain, fused = _pair()
    weights = np.random.default_rng(2).normal(size=(4, 5, 6, 3)).astype("float32")
    expected, got = (_gradients(model, _images(), weights) for model in (plain, fused))
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


def test_outputs_outside_training_equal_those_of_keras_exactly() -> None:
    plain, fused = _pair()
    before = fused.get_weights()
    np.testing.assert_array_equal(fused(_images()), plain(_images()))
    for one, other in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(other, one)


def test_frozen_layers_keep_their_averages() -> None:
    plain, fused = _pair()
    before = fused.get_weights()
    plain.trainable = fused.trainable = False
    np.testing.assert_array_equal(fused(_images(), training=True), plain(_images(), training=True))
    for one, other in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(other, one)


def test_half_precision_is_normalised_in_float32() -> None:
    plain, fused = _pair(dtype="mixed_bfloat16")
    expected, got = (model(_images(), training=True) for model in (plain, fused))
    assert got.dtype == expected.dtype == tensorflow.bfloat16
    np.testing.assert_allclose(np.asarray(got, "float32"), np.asarray(expected, "float32"), atol=0.02)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(other, one, rtol=1e-2)


@pytest.mark.parametrize("options", [{"axis": 1}, {"scale": False}, {"center": False}, {"renorm": True}])
def test_options_that_the_kernel_lacks_are_not_fused(options: dict[str, object]) -> None:
    model = keras.Sequential([keras.Input((5, 6, 3)), keras.layers.BatchNormalization(**options)])
    assert fuse_batch_norm(model) == 0


def test_a_layer_that_is_used_twice_is_fused_in_both_places() -> None:
    plain, fused = (_twice(keras.layers.BatchNormalization(momentum=0.5)) for _ in range(2))
    assert fuse_batch_norm(fused) == 1
    expected, got = (model(_images(), training=True) for model in (plain, fused))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    for one, other in zip(plain.get_weights(), fused.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5)


def _twice(layer: keras.Layer) -> keras.Model:
    image = keras.Input((5, 6, 3))
    return keras.Model(image, layer(layer(image) * 2 + 1))


def test_vectors_are_not_fused() -> None:
    assert fuse_batch_norm(keras.Sequential([keras.Input((5,)), keras.layers.BatchNormalization()])) == 0


def test_the_saved_file_has_keras_own_layers(tmp_path: Path) -> None:
    architecture = find_architecture("mini-xception").with_input((32, 32))
    model = architecture.build(architecture.input, 2)
    assert fuse_batch_norm(model) == 10
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    np.testing.assert_array_equal(loaded(images), model(images))
