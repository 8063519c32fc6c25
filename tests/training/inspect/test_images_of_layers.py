"""Sheets of feature maps, of filter images and of augmented images."""

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

from spyglass_contract.errors import FailedPrecondition, NotFound
from spyglass_training.inspect.activations import draw_activations
from spyglass_training.inspect.augment import augment, draw_augmented
from spyglass_training.inspect.filters import AscentOptions, draw_filters, find_images
from spyglass_training.inspect.flat import flatten
from spyglass_training.inspect.sheets import draw_sheet, in_colors, to_levels

pytestmark = pytest.mark.training


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def test_every_convolution_and_pooling_has_a_sheet(
    classifier: keras.Model, cat: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = draw_activations(classifier, cat, tmp_path / "maps")
    assert [path.name for path in paths] == ["01_outside.png", "02_pool.png", "03_inner_inside.png"]
    # Eight maps of 62×46, enlarged twice, in a row.
    assert read(paths[0]).shape[1] == 8 * (2 * 62 + 4) + 4


def test_a_tile_is_the_map_of_the_layer(cat: NDArray[np.uint8], tmp_path: Path) -> None:
    image = keras.Input((48, 64, 3), dtype="uint8")
    convolution = layers.Conv2D(3, 1, use_bias=False)
    model = keras.Model(image, convolution(layers.Rescaling(1 / 255)(image)))
    # Each map is one colour channel of the image.
    convolution.set_weights([np.eye(3, dtype=np.float32).reshape(1, 1, 3, 3)])
    (path,) = draw_activations(model, cat, tmp_path)
    sheet = read(path)
    for channel in range(3):
        tile = np.kron(in_colors(to_levels(cat[..., channel] / 255.0)), np.ones((2, 2, 1), np.uint8))
        left = 4 + channel * (128 + 4)
        found = sheet[-4 - 96 : -4, left : left + 128].astype(int)
        assert np.abs(found - tile).max() <= 6


def test_a_constant_map_is_drawn_dark() -> None:
    assert to_levels(np.full((4, 4), 7.0)).max() == 0


def test_a_sheet_fits_all_images_and_large_ones_are_reduced() -> None:
    large = [np.zeros((400, 200, 3), np.uint8)] * 5
    assert draw_sheet(large, 2, "five").size == (2 * (90 + 4) + 4, 30 + 3 * (180 + 4))


def test_a_filter_responds_most_to_its_own_image(classifier: keras.Model) -> None:
    network = flatten(classifier)
    step = network.step("outside")
    images = find_images(network, step, AscentOptions(steps=10))
    maps = network.model_to(step.before_activation())(images, training=False)
    responses = np.asarray(maps).mean(axis=(1, 2))
    # One row for each image, one column for each filter.
    assert (responses.argmax(axis=0) == np.arange(8)).all()
    again = find_images(network, step, AscentOptions(steps=10))
    np.testing.assert_array_equal(again, images)


def test_filters_of_a_nested_network_are_drawn(classifier: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "new/filters.png"
    assert draw_filters(classifier, "inner/inside", AscentOptions(filters=4, steps=2), path) == 4
    assert read(path).shape[1] == 4 * (2 * 48 + 4) + 4
    with pytest.raises(NotFound, match="outside"):
        draw_filters(classifier, "outsider", AscentOptions(), path)
    with pytest.raises(FailedPrecondition, match="no feature maps"):
        draw_filters(classifier, "mean", AscentOptions(), path)


def augmenting(*random_layers: keras.Layer) -> keras.Model:
    image = keras.Input((48, 64, 3), dtype="uint8")
    inner = keras.Sequential([keras.Input((48, 64, 3)), *random_layers], name="augmentation")
    x = inner(layers.Rescaling(1 / 127.5, offset=-1)(image))
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name="augmenting")


def test_the_layers_of_the_network_make_the_augmented_versions(cat: NDArray[np.uint8]) -> None:
    versions = augment(augmenting(layers.RandomFlip("horizontal")), cat, count=12, seed=1)
    mirrored = [np.array_equal(version, cat[:, ::-1]) for version in versions]
    assert all(each or np.array_equal(version, cat) for each, version in zip(mirrored, versions, strict=True))
    assert 0 < sum(mirrored) < 12


def test_augmentation_is_the_same_for_a_seed(cat: NDArray[np.uint8]) -> None:
    model = augmenting(layers.RandomRotation(0.1), layers.RandomZoom(0.2))
    first, second, other = (augment(model, cat, count=4, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)
    assert len({version.tobytes() for version in first}) == 4


def test_the_sheet_starts_with_the_original_image(cat: NDArray[np.uint8], tmp_path: Path) -> None:
    draw_augmented(augmenting(layers.RandomFlip()), cat, tmp_path / "sheet.png", count=5)
    sheet = read(tmp_path / "sheet.png")
    np.testing.assert_array_equal(sheet[30 : 30 + 96 : 2, 4 : 4 + 128 : 2], cat)


def test_a_network_without_augmentation_is_rejected(
    classifier: keras.Model, cat: NDArray[np.uint8], tmp_path: Path
) -> None:
    with pytest.raises(FailedPrecondition, match="no augmentation"):
        draw_augmented(classifier, cat, tmp_path / "sheet.png")
