"""The heatmap of the training package follows the formula of Grad-CAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("keras")
pytest.importorskip("tensorflow")

import keras
from keras import layers

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_CROP, InputSpec
from spyglass_contract.errors import FailedPrecondition, NotFound
from spyglass_contract.images.pixels import prepare
from spyglass_training.inspect.flat import flatten
from spyglass_training.inspect.heatmap import Heatmap, compute_heatmap, draw_heatmap

pytestmark = pytest.mark.training


def by_hand(maps: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the heatmap before a mean and a dense layer.

    There the gradient by a map is the dense layer's weight, divided by the number of positions.
    """
    heat = np.maximum((maps * weights / maps[..., 0].size).mean(axis=-1), 0)
    return np.asarray(heat / max(heat.max(), 1e-12), np.float32)


def maps_of(model: keras.Model, layer: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = flatten(model)
    maps = network.model_to(network.step(layer).output)(pixels[np.newaxis].astype(np.float32), training=False)
    return np.asarray(maps)[0]


def test_each_class_has_the_map_of_the_formula(classifier: keras.Model, cat: NDArray[np.uint8]) -> None:
    maps = maps_of(classifier, "inner/inside", cat)
    (kernel, _) = classifier.get_layer("probabilities").get_weights()
    for index in range(3):
        found = compute_heatmap(classifier, cat, class_index=index)
        assert (found.layer, found.class_index) == ("inner/inside", index)
        np.testing.assert_allclose(found.values, by_hand(maps, kernel[:, index]), atol=1e-5)


def test_the_predicted_class_is_explained_by_default(classifier: keras.Model, cat: NDArray[np.uint8]) -> None:
    found = compute_heatmap(classifier, cat)
    expected = np.asarray(classifier(cat[np.newaxis], training=False))[0]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert found.class_index == expected.argmax()
    named = compute_heatmap(classifier, cat, class_index=found.class_index)
    np.testing.assert_array_equal(found.values, named.values)


def test_the_heatmap_does_not_vanish_for_a_probability_of_one(
    classifier: keras.Model, cat: NDArray[np.uint8]
) -> None:
    head = classifier.get_layer("probabilities")
    kernel, bias = head.get_weights()
    uncertain = compute_heatmap(classifier, cat, class_index=1)
    head.set_weights([kernel, bias + np.array([0, 90, 0], np.float32)])
    certain = compute_heatmap(classifier, cat, class_index=1)
    # The gradient of this probability is 0 in float32.
    assert certain.probabilities[1] == 1
    np.testing.assert_allclose(certain.values, uncertain.values, atol=1e-5)


def test_a_single_output_counts_for_the_second_class_and_against_the_first(cat: NDArray[np.uint8]) -> None:
    keras.utils.set_random_seed(5)
    image = keras.Input((48, 64, 3), dtype="uint8")
    x = layers.Conv2D(6, 5, activation="relu", name="maps")(layers.Rescaling(1 / 255)(image))
    x = layers.Dropout(0.5)(layers.MaxPooling2D(44)(x))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Activation("sigmoid")(layers.Dense(1, name="score")(x))
    model = keras.Model(image, x)
    first, second = (compute_heatmap(model, cat, class_index=index) for index in (0, 1))
    assert first.layer == second.layer == "maps"
    assert first.probabilities.sum() == pytest.approx(1) and len(first.probabilities) == 2
    # Evidence for one class is not evidence for the other.
    assert (first.values * second.values).max() == 0
    assert max(first.values.max(), second.values.max()) == 1


def test_a_network_with_frozen_weights_is_explained(classifier: keras.Model, cat: NDArray[np.uint8]) -> None:
    expected = compute_heatmap(classifier, cat).values
    classifier.trainable = False
    np.testing.assert_allclose(compute_heatmap(classifier, cat).values, expected, atol=1e-6)


def test_another_layer_can_be_chosen(classifier: keras.Model, cat: NDArray[np.uint8]) -> None:
    assert compute_heatmap(classifier, cat, layer="outside").values.shape == (46, 62)
    with pytest.raises(NotFound, match="inner/inside"):
        compute_heatmap(classifier, cat, layer="inner/insides")
    with pytest.raises(FailedPrecondition, match="'mean' has no feature maps"):
        compute_heatmap(classifier, cat, layer="mean")
    with pytest.raises(NotFound, match="must be in 0 to 2, not 3"):
        compute_heatmap(classifier, cat, class_index=3)


def test_a_segmentation_network_is_rejected(cat: NDArray[np.uint8]) -> None:
    image = keras.Input((48, 64, 3), dtype="uint8")
    scores = layers.Conv2D(3, 3, activation="softmax")(layers.Rescaling(1 / 255)(image))
    with pytest.raises(FailedPrecondition, match="no class scores"):
        compute_heatmap(keras.Model(image, scores), cat)


def test_the_map_is_drawn_over_the_part_of_the_image_in_the_input(chelsea: bytes, tmp_path: Path) -> None:
    spec = InputSpec(tensor="image", height=30, width=30, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_CROP)
    values = np.zeros((3, 3), np.float32)
    values[:, 0] = 1
    assert prepare(chelsea, spec).pixels.shape == (30, 30, 3)
    draw_heatmap(Heatmap(values, "", 0, np.ones(1, np.float32)), chelsea, spec, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as drawn:
        assert (drawn.size, drawn.format) == ((451, 300), "PNG")
        pixels = np.asarray(drawn).astype(int)
    redness = pixels[..., 0] - pixels[..., 2]
    # Of 451 columns the middle 300 are in the input, and the map marks the left of them.
    assert redness[:, 80:120].mean() > redness[:, 200:].mean() + 60
    assert redness[:, 80:120].mean() > redness[:, :70].mean() + 60
