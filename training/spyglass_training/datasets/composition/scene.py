"""Scenes: cut-outs pasted on a background, with their exact trimap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from spyglass_training.datasets.composition.color_jitter import jittered
from spyglass_training.datasets.formats.pets import BACKGROUND, CONTOUR, FOREGROUND

# A pixel belongs to the foreground if an object is more than half opaque there.
_OPAQUE = 128
# The fraction of an object's width and height that may lie outside the image.
_BEYOND = 0.15
# The smallest visible fraction of a background's shorter side.
_LEAST_SHOWN = 0.4


@dataclass(frozen=True)
class SceneOptions:
    """The options of a scene."""

    # Width and height of the image, in pixels.
    size: int = 256
    max_objects: int = 2
    # Length of an object's longer side, as a fraction of the image's.
    min_scale: float = 0.4
    max_scale: float = 0.95
    # Maximum rotation of an object in either direction, in degrees.
    rotation: float = 20.0
    # Width of the contour on either side of an object's edge, in pixels.
    contour: int = 2
    # Maximum width over which an object's edge fades, in pixels.
    softness: float = 1.5
    # Maximum blur of the background, in pixels; half of the backgrounds are sharp.
    blur: float = 2.0


def compose(
    backgrounds: Sequence[Image.Image],
    cutouts: Sequence[Image.Image],
    options: SceneOptions,
    random: np.random.Generator,
) -> tuple[Image.Image, Image.Image]:
    """Return an RGB image and its trimap (mode L): RGBA cut-outs on RGB backgrounds.

    Later cut-outs cover earlier ones. There are one or two backgrounds; two are blended into each other.
    """
    scene = _blended([_scenery(background, options, random) for background in backgrounds], random)
    owners = Image.new("L", scene.size)
    for number, cutout in enumerate(cutouts, start=1):
        placed = _placed(_softened(_scaled(cutout, options, random), options, random), options, random)
        scene.paste(placed.convert("RGB"), mask=placed.getchannel("A"))
        owners.paste(number, mask=placed.getchannel("A").point(lambda alpha: 255 * (alpha >= _OPAQUE)))
    return scene, Image.fromarray(trimap(np.asarray(owners), options.contour))


def trimap(owners: NDArray[np.uint8], contour: int) -> NDArray[np.uint8]:
    """Return foreground, background and contour of uint8 [height, width], the object's number at each pixel.

    0 is the background. A pixel within `contour` pixels of another number belongs to the contour.
    """
    values = np.where(owners > 0, FOREGROUND, BACKGROUND).astype(np.uint8)
    if contour:
        image, around = Image.fromarray(owners), 2 * contour + 1
        least, greatest = (
            image.filter(ImageFilter.MinFilter(around)),
            image.filter(ImageFilter.MaxFilter(around)),
        )
        values[np.asarray(least) != np.asarray(greatest)] = CONTOUR
    return values


def _scenery(background: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Return a random part of a background in the size of the scene, mirrored, blurred and recoloured."""
    return jittered(
        _mirrored(_focused(_cropped(background, options, random), options, random), random), random
    )


def _blended(sceneries: Sequence[Image.Image], random: np.random.Generator) -> Image.Image:
    """Return one scenery, or two that are blended along a line through the middle half of the scene.

    Blending makes many backgrounds from few, so that a network cannot memorise them.
    """
    if len(sceneries) == 1:
        return sceneries[0]
    width, height = sceneries[0].size
    columns, rows = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
    angle, shift = random.uniform(0, 2 * np.pi), random.uniform(-0.25, 0.25)
    distance = columns * np.cos(angle) + rows * np.sin(angle) - shift
    shares = np.clip(0.5 + distance / random.uniform(0.05, 0.5), 0, 1)
    return Image.composite(sceneries[0], sceneries[1], Image.fromarray(np.uint8(255 * shares)))


def _cropped(image: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Return a random square of the image, in the size of the scene."""
    side = min(image.size) * random.uniform(_LEAST_SHOWN, 1.0)
    left, top = random.uniform(0, image.width - side), random.uniform(0, image.height - side)
    box = (left, top, min(left + side, image.width), min(top + side, image.height))
    return image.resize((options.size, options.size), Image.Resampling.BILINEAR, box=box)


def _focused(image: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Blur the image at random, like the background of a photograph."""
    radius = max(random.uniform(-options.blur, options.blur), 0.0)
    return image.filter(ImageFilter.GaussianBlur(radius))


def _scaled(cutout: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Return the visible part of a cut-out: rotated, scaled, mirrored and recoloured at random."""
    angle = random.uniform(-options.rotation, options.rotation)
    visible = _visible(_visible(cutout).rotate(angle, Image.Resampling.BICUBIC, expand=True))
    side = options.size * random.uniform(options.min_scale, options.max_scale)
    ratio = side / max(visible.size)
    size = (max(1, round(visible.width * ratio)), max(1, round(visible.height * ratio)))
    resized = _mirrored(visible.resize(size, Image.Resampling.BICUBIC), random)
    colored = jittered(resized.convert("RGB"), random)
    colored.putalpha(resized.getchannel("A"))
    return colored


def _visible(cutout: Image.Image) -> Image.Image:
    return cutout.crop(cutout.getchannel("A").getbbox())


def _softened(cutout: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Let the edge fade inwards, because the pixels outside a cut-out have no useful colour."""
    alpha = cutout.getchannel("A")
    # The blur needs transparent pixels around the cut-out's box.
    margin = 4
    wide = Image.new("L", (alpha.width + 2 * margin, alpha.height + 2 * margin))
    wide.paste(alpha, (margin, margin))
    blurred = wide.filter(ImageFilter.GaussianBlur(random.uniform(0, options.softness)))
    box = (margin, margin, margin + alpha.width, margin + alpha.height)
    softened = cutout.copy()
    softened.putalpha(ImageChops.darker(alpha, blurred.crop(box)))
    return softened


def _placed(cutout: Image.Image, options: SceneOptions, random: np.random.Generator) -> Image.Image:
    """Return a cut-out at a random position of a transparent image in the scene's size."""
    left = random.uniform(-_BEYOND * cutout.width, options.size - (1 - _BEYOND) * cutout.width)
    top = random.uniform(-_BEYOND * cutout.height, options.size - (1 - _BEYOND) * cutout.height)
    placed = Image.new("RGBA", (options.size, options.size))
    placed.paste(cutout, (round(left), round(top)))
    return placed


def _mirrored(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
