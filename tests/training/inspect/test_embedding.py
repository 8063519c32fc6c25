"""An embedding shows what enters the last layer, in the colours of the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
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
    """An image in three versions, each with a little noise, twelve times."""
    noise = np.random.default_rng(0).integers(0, 8, (36, *cat.shape), dtype=np.uint8)
    versions = [cat // 2 + 100, cat // 4, cat[:, ::-1]]
    labels = np.arange(36, dtype=np.int64) % 3
    return Split(np.stack([versions[label] for label in labels]) // 2 + noise, labels)


def test_features_are_what_enters_the_last_layer(classifier: keras.Model, split: Split) -> None:
    found = features(classifier, split.pixels)
    kernel, bias = classifier.get_layer("probabilities").get_weights()
    logits = found @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = np.asarray(classifier.predict(split.pixels, verbose=0))
    np.testing.assert_allclose(exponentials / exponentials.sum(axis=1, keepdims=True), expected, atol=1e-5)
    # Maps are averaged over their places.
    assert features(classifier, split.pixels, "outside").shape == (36, 8)


def test_images_that_are_alike_lie_together_the_same_for_a_seed(
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
    assert len(colors) > 3 and with_images > plain


def test_masks_and_too_few_images_are_refused(classifier: keras.Model, split: Split, tmp_path: Path) -> None:
    masks = Split(split.pixels, np.zeros((36, 48, 64), np.uint8))
    with pytest.raises(FailedPrecondition, match="masks"):
        draw_embedding(classifier, masks, NAMES, EmbeddingOptions(), tmp_path / "x.png")
    with pytest.raises(InvalidInput, match="too few"):
        draw_embedding(classifier, split, NAMES, EmbeddingOptions(images=4), tmp_path / "x.png")
