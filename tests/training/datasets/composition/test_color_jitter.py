"""Random colours: hues change within limits, greys stay grey."""

from __future__ import annotations

import numpy as np
from PIL import Image

from spyglass_training.datasets.composition.color_jitter import jittered


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def hue(image: Image.Image) -> int:
    return int(np.asarray(image.convert("HSV"))[0, 0, 0])


def test_hues_change_in_both_directions_but_not_to_their_opposite() -> None:
    turns = [(hue(jittered(Image.new("RGB", (4, 4), "red"), seeded(seed))) + 128) % 256 for seed in range(60)]
    assert min(turns) < 112 and max(turns) > 144
    # Clipped channels change them slightly further.
    assert all(60 <= turn <= 196 for turn in turns)


def test_grey_stays_grey() -> None:
    for seed in range(20):
        red, green, blue = jittered(Image.new("RGB", (4, 4), (90, 90, 90)), seeded(seed)).getpixel((0, 0))
        assert red == green == blue


def test_the_same_seed_gives_the_same_colours() -> None:
    image = Image.effect_noise((32, 32), 60).convert("RGB")
    first, second, other = (jittered(image, seeded(seed)) for seed in (1, 1, 2))
    assert first.tobytes() == second.tobytes() != other.tobytes()
