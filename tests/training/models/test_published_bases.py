"""Networks of `keras.applications`: published weights, and EfficientNetV2-B0 against its original."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models import find_architecture
from spyglass_training.models.parts.image_input import photograph

pytestmark = [pytest.mark.training, pytest.mark.slow]

SPEC = photograph(72)


@pytest.fixture(scope="module")
def published() -> keras.Model:
    """EfficientNetV2-B0 as Keras has it, with random weights and moving averages."""
    keras.utils.set_random_seed(0)
    model = keras.applications.EfficientNetV2B0(weights=None, input_shape=(72, 72, 3))
    random = np.random.default_rng(0)
    # Kernels keep their first values. Scales, offsets and moving averages get values that tell them apart.
    model.set_weights(
        [
            kept if weight.path.endswith("kernel") else random.uniform(0.5, 1.5, weight.shape)
            for weight, kept in zip(model.weights, model.get_weights(), strict=True)
        ]
    )
    return model


@pytest.fixture(scope="module")
def ours(published: keras.Model) -> keras.Model:
    """The registered network with the weights of Keras's."""
    model = find_architecture("efficientnet-v2-b0").build(SPEC, 1000)
    model.set_weights(published.get_weights())
    return model


def test_efficientnet_v2_b0_has_the_layers_with_weights_of_keras_in_its_order(
    ours: keras.Model, published: keras.Model
) -> None:
    layers = [
        [(layer.name, layer.count_params()) for layer in model.layers if layer.weights][:-1]
        for model in (ours, published)
    ]
    assert layers[0] == layers[1]
    assert ours.count_params() == published.count_params() == 7_200_312


def test_efficientnet_v2_b0_has_the_outputs_of_keras_with_the_same_weights(
    ours: keras.Model, published: keras.Model
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 72, 72, 3), np.uint8)
    pixels[1] //= 4
    outputs = ours(pixels, training=False)
    np.testing.assert_allclose(
        outputs, published(pixels.astype(np.float32), training=False), rtol=1e-3, atol=1e-6
    )
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-4


def test_efficientnet_v2_b0_trains_as_keras_does(ours: keras.Model, published: keras.Model) -> None:
    """The drop rates are equal; without drops, the features on batch statistics are equal, too."""
    drops = [
        {layer.name: layer.rate for layer in model.layers if layer.name.endswith("_drop")}
        for model in (ours, published)
    ]
    assert drops[0] == pytest.approx(drops[1]) and len(drops[0]) == 15
    pixels = np.random.default_rng(1).integers(0, 256, (4, 72, 72, 3), np.uint8)
    features = []
    for model, images in ((ours, pixels), (published, pixels.astype(np.float32))):
        for name in drops[0]:
            model.get_layer(name).rate = 0.0
        part = keras.Model(model.input, model.get_layer("avg_pool").output)
        features.append(np.asarray(part(images, training=True)))
    np.testing.assert_allclose(features[0], features[1], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "application", "preprocess"),
    [
        ("xception", keras.applications.Xception, keras.applications.xception.preprocess_input),
        ("efficientnet-v2-b0", keras.applications.EfficientNetV2B0, np.asarray),
    ],
)
def test_a_weights_file_of_keras_gives_the_same_features(
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


def test_weights_that_are_missing_or_do_not_fit_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.h5"):
        build_with("nowhere.h5")
    other = keras.applications.EfficientNetV2B0(
        weights=None, include_top=False, pooling="avg", input_shape=(72, 72, 3)
    )
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ModelError, match="do not fit"):
        build_with(str(tmp_path / "other.weights.h5"))
