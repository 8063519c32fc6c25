"""The networks of `keras.applications`: their weights arrive, and our own blocks are theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from spyglass_training.models.parts.squeeze_excite import squeeze_excite

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models import find_architecture
from spyglass_training.models.parts.image_input import photograph
from spyglass_training.models.parts.mbconv import mbconv

pytestmark = [pytest.mark.training, pytest.mark.slow]

SPEC = photograph(72)


@pytest.fixture(scope="module")
def published() -> keras.Model:
    """EfficientNetV2-B0 as Keras has it, its moving averages and all else at random."""
    keras.utils.set_random_seed(0)
    model = keras.applications.EfficientNetV2B0(weights=None, include_top=False, input_shape=(72, 72, 3))
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.05, 0.3, weight.shape) for weight in model.get_weights()])
    return model


def part(model: keras.Model, first: str, last: str) -> keras.Model:
    return keras.Model(model.get_layer(first).output, model.get_layer(last).output)


def assert_the_same(ours: keras.Model, theirs: keras.Model) -> None:
    """With their weights in our layers."""
    shapes = [weight.shape for weight in theirs.weights]
    assert [weight.shape for weight in ours.weights] == shapes
    ours.set_weights(theirs.get_weights())
    x = np.random.default_rng(1).normal(size=(2, *ours.input_shape[1:])).astype(np.float32)
    for training in (False, True):
        np.testing.assert_allclose(ours(x, training=training), theirs(x, training=training), rtol=1e-4)


def test_our_mbconv_is_that_of_keras_where_the_shape_changes(published: keras.Model) -> None:
    theirs = part(published, "block3b_add", "block4a_project_bn")
    x = keras.Input(theirs.input_shape[1:])
    assert_the_same(keras.Model(x, mbconv(x, 96, stride=2, name="block")), theirs)


def test_our_mbconv_is_that_of_keras_but_for_stochastic_depth_where_it_stays(
    published: keras.Model,
) -> None:
    theirs = part(published, "block4a_project_bn", "block4b_add")
    # Keras drops whole blocks in training; ours are all there.
    theirs.get_layer("block4b_drop").rate = 0.0
    x = keras.Input(theirs.input_shape[1:])
    assert_the_same(keras.Model(x, mbconv(x, 96, name="block")), theirs)


def test_our_squeeze_and_excitation_is_that_of_keras(published: keras.Model) -> None:
    theirs = part(published, "block4a_activation", "block4a_se_excite")
    x = keras.Input(theirs.input_shape[1:])
    assert_the_same(keras.Model(x, squeeze_excite(x, 12, name="block")), theirs)


@pytest.mark.parametrize(
    ("name", "application", "preprocess"),
    [
        ("xception", keras.applications.Xception, keras.applications.xception.preprocess_input),
        ("efficientnet-v2-b0", keras.applications.EfficientNetV2B0, np.asarray),
    ],
)
def test_a_file_of_weights_as_keras_publishes_them_makes_the_same_features(
    name: str, application: Callable[..., keras.Model], preprocess: Callable[..., object], tmp_path: Path
) -> None:
    theirs = application(weights=None, include_top=False, pooling="avg", input_shape=(72, 72, 3))
    file = tmp_path / "published_notop.weights.h5"
    theirs.save_weights(file)
    ours = find_architecture(name).build(SPEC, 2, weights=str(file), freeze=True)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 72, 72, 3), np.uint8)
    features = keras.Model(ours.input, ours.get_layer("dropout").output)
    np.testing.assert_allclose(
        features(pixels, training=False),
        theirs(preprocess(pixels.astype(np.float32)), training=False),
        rtol=1e-3,
        atol=1e-6,
    )
    assert [weight.path for weight in ours.trainable_weights] == [
        "probabilities/kernel",
        "probabilities/bias",
    ]


def build_with(weights: str, spec: InputSpec = SPEC) -> keras.Model:
    return find_architecture("xception").build(spec, 2, weights=weights)


def test_weights_that_are_not_there_or_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.h5"):
        build_with("nowhere.h5")
    other = keras.applications.EfficientNetV2B0(
        weights=None, include_top=False, pooling="avg", input_shape=(72, 72, 3)
    )
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ModelError, match="do not fit"):
        build_with(str(tmp_path / "other.weights.h5"))
