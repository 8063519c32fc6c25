"""An embedding shows the input of the last layer, in the colours of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("keras")
pytest.importorskip("sklearn")

import keras

from spyglass_contract.errors import FailedPrecondition, InvalidInput
from spyglass_training.datasets.dataset import Split
from spyglass_training.inspect.embedding import EmbeddingOptions, draw_embedding, embed, features

pytestmark = pytest.mark.training

NAMES = ("light", "dark", "mirrored")


@pytest.fixture
def split(cat: NDArray[np.uint8]) -> Split:
    """Three versions of an image, twelve times each, with noise."""
    noise = np.random.default_rng(0).integers(0, 8, (36, *cat.shape), dtype=np.uint8)
    versions = [cat // 2 + 100, cat // 4, cat[:, ::-1]]
    labels = np.arange(36, dtype=np.int64) % 3
    return Split(np.stack([versions[label] for label in labels]) // 2 + noise, labels)


def test_features_are_the_input_of_the_last_layer(classifier: keras.Model, split: Split) -> None:
    found = features(classifier, split.pixels)
    kernel, bias = classifier.get_layer("probabilities").get_weights()
    logits = found @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = np.asarray(classifier.predict(split.pixels, verbose=0))
    np.testing.assert_allclose(exponentials / exponentials.sum(axis=1, keepdims=True), expected, atol=1e-5)
    # Maps are averaged over their positions.
    assert features(classifier, split.pixels, "outside").shape == (36, 8)


def test_similar_images_lie_together_and_a_seed_fixes_the_positions(
    classifier: keras.Model, split: Split
) -> None:
    vectors = features(classifier, split.pixels, "outside")
    places = embed(vectors, seed=1)
    distances = np.linalg.norm(places[:, np.newaxis] - places, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (split.labels[distances.argmin(axis=1)] == split.labels).mean() > 0.9
    np.testing.assert_array_equal(embed(vectors, seed=1), places)


def test_the_drawing_has_the_colours_of_the_classes(
    classifier: keras.Model, split: Split, tmp_path: Path
) -> None:
    for thumbnails in (False, True):
        path = tmp_path / f"{thumbnails}.png"
        options = EmbeddingOptions(images=30, thumbnails=thumbnails)
        assert draw_embedding(classifier, split, NAMES, options, path) == 30
    with Image.open(tmp_path / "False.png") as drawn:
        assert drawn.format == "PNG" and min(drawn.size) > 900
        colors = {color for _, color in drawn.convert("RGB").getcolors(1 << 20) or []}
    plain, with_images = ((tmp_path / f"{name}.png").stat().st_size for name in (False, True))
    assert with_images > plain
    for index in range(len(NAMES)):
        # The points are drawn with an opacity of 0.75 on white.
        drawn_color = [255 * (0.75 * channel + 0.25) for channel in colormaps["tab10"](index)[:3]]
        assert any(np.abs(np.subtract(color, drawn_color)).max() <= 2 for color in colors)


def test_masks_and_too_few_images_are_rejected(classifier: keras.Model, split: Split, tmp_path: Path) -> None:
    masks = Split(split.pixels, np.zeros((36, 48, 64), np.uint8))
    with pytest.raises(FailedPrecondition, match="masks"):
        draw_embedding(classifier, masks, NAMES, EmbeddingOptions(), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="at least 5 images, not 4"):
        draw_embedding(classifier, split, NAMES, EmbeddingOptions(images=4), tmp_path / "x.png")
