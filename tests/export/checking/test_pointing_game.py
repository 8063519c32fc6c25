"""The pointing game, with heatmaps that follow from the images, and with those of the bundled model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from spyglass_contract.heatmaps.overlay import map_to_size
from spyglass_export.checking.network import ExplainedNetwork
from spyglass_export.checking.pointing_game import Composed, compose, hits, mass_inside
from spyglass_server.engine.models.bundled import bundled_models

SIDE = 32
RED, GREEN, BLUE = range(3)
SEEDS = range(8)

# Of the cat in examples/chelsea.jpg, by hand.
HEAD = (32, 0, 378, 290)
FEATHER = 6
CATS = ("tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat")


@pytest.fixture(scope="module")
def color_network(color_model: Callable[[int], onnx.ModelProto]) -> ExplainedNetwork:
    """A network whose heatmap for a class is that channel of the image, divided by its maximum."""
    return ExplainedNetwork(color_model(SIDE).SerializeToString())


def _on_blue(seed: int) -> Composed:
    """A red square of 8 × 8, of brightness 200, on a blue background."""
    background = Image.new("RGB", (SIDE, SIDE), (0, 0, 150))
    return compose(
        Image.new("RGBA", (5, 5), (200, 0, 0, 255)), background, SIDE, 1 / 4, np.random.default_rng(seed)
    )


def _with_red_row(composed: Composed, brightness: int) -> NDArray[np.uint8]:
    """The image with its first or last row, the one outside the box, in red."""
    pixels = composed.pixels.copy()
    pixels[-1 if composed.box[1] == 0 else 0] = (brightness, 0, 0)
    return pixels


@pytest.mark.parametrize("seed", SEEDS)
def test_the_whole_mass_for_the_object_is_in_its_box_and_the_rest_of_the_image_outside(
    seed: int, color_network: ExplainedNetwork
) -> None:
    composed = _on_blue(seed)
    red, blue = (color_network.heatmap(composed.pixels, index) for index in (RED, BLUE))
    assert mass_inside(red, composed.box) == pytest.approx(1, abs=1e-6) and hits(red, composed.box)
    assert mass_inside(blue, composed.box) == 0 and not hits(blue, composed.box)
    # Nothing in the image is green, so its map is zero.
    green = color_network.heatmap(composed.pixels, GREEN)
    assert mass_inside(green, composed.box) == 0 and not hits(green, composed.box)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("brightness", [100, 250])
def test_a_second_red_region_takes_its_part_of_the_mass_and_the_hit_if_it_is_brighter(
    seed: int, brightness: int, color_network: ExplainedNetwork
) -> None:
    composed = _on_blue(seed)
    heat = color_network.heatmap(_with_red_row(composed, brightness), RED)
    in_box, in_row = 8 * 8 * 200, SIDE * brightness
    assert mass_inside(heat, composed.box) == pytest.approx(in_box / (in_box + in_row), abs=1e-6)
    assert hits(heat, composed.box) is (brightness < 200)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_even_map_has_the_mass_of_the_box_in_it(seed: int, color_network: ExplainedNetwork) -> None:
    composed = _on_blue(seed)
    grey = np.full_like(composed.pixels, 90)
    heat = color_network.heatmap(grey, RED)
    assert mass_inside(heat, composed.box) == pytest.approx(composed.box_share) == pytest.approx(1 / 16)


def _cat(examples: Path) -> Image.Image:
    """The head in a soft ellipse, RGBA."""
    head = Image.open(examples / "chelsea.jpg").convert("RGBA").crop(HEAD)
    mask = Image.new("L", head.size)
    inside = (2 * FEATHER, 2 * FEATHER, head.width - 2 * FEATHER, head.height - 2 * FEATHER)
    ImageDraw.Draw(mask).ellipse(inside, fill=255)
    head.putalpha(mask.filter(ImageFilter.GaussianBlur(FEATHER)))
    return head


@pytest.mark.parametrize("share", [0.6, 0.8])
@pytest.mark.parametrize("seed", range(3))
def test_the_bundled_model_points_at_a_cat_on_coloured_clouds(
    share: float, seed: int, repository_root: Path
) -> None:
    """Only the cat is an object, so the hottest pixel must be on it, with more mass than an even map has."""
    network = ExplainedNetwork(bundled_models() / "imagenet/1/model.onnx")
    names = list(network.card.class_names)
    random = np.random.default_rng(seed)
    clouds = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    background = clouds.resize((300, 300), Image.Resampling.BICUBIC)
    composed = compose(_cat(repository_root / "examples"), background, 224, share, random)
    probabilities = network.probabilities(composed.pixels[np.newaxis])[0]
    best = max((names.index(cat) for cat in CATS), key=lambda index: float(probabilities[index]))
    heat = map_to_size(network.heatmap(composed.pixels, best), 224, 224)
    assert hits(heat, composed.box)
    assert mass_inside(heat, composed.box) > composed.box_share


def test_the_box_holds_the_object() -> None:
    cutout = Image.new("RGBA", (60, 40))
    cutout.paste((255, 0, 0, 255), (10, 5, 50, 25))
    random = np.random.default_rng(0)
    for share in (0.25, 0.5, 1.0):
        composed = compose(cutout, Image.new("RGB", (90, 70), "white"), 80, share, random)
        left, top, right, bottom = composed.box
        assert composed.pixels.shape == (80, 80, 3)
        assert (right - left, bottom - top) == (80 * share, 40 * share)
        red = (composed.pixels == (255, 0, 0)).all(axis=2)
        assert red[top:bottom, left:right].all() and red.sum() == 80 * 40 * share**2
        assert composed.box_share == share**2 / 2


def test_mass_and_hits_are_counted_in_the_box() -> None:
    heat = np.zeros((10, 10), np.float32)
    heat[2, 3], heat[8, 8] = 3, 1
    assert mass_inside(heat, (3, 2, 5, 5)) == 0.75
    assert hits(heat, (3, 2, 4, 3))
    assert not hits(heat, (4, 2, 10, 10)) and not hits(heat, (0, 0, 3, 10))


def test_a_map_of_zeros_never_hits() -> None:
    assert mass_inside(np.zeros((4, 4), np.float32), (0, 0, 4, 4)) == 0
    assert not hits(np.zeros((4, 4), np.float32), (0, 0, 4, 4))


def test_the_background_does_not_change_the_box() -> None:
    cutout = Image.new("RGBA", (20, 20), "blue")

    def place(color: str) -> Composed:
        return compose(cutout, Image.new("RGB", (50, 50), color), 50, 0.5, np.random.default_rng(9))

    assert place("white").box == place("green").box
