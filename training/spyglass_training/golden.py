"""Golden pictures: encoded files, of many kinds, that the certificate of a model asks about.

They cover the way from bytes to pixels: every format that is read, sizes below and above the network's input,
a JPEG large enough to be decoded at a reduced scale, and one that only EXIF says how to turn upright.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.decode import decode, from_array
from spyglass_contract.errors import ImageError, InvalidInput, NotFound
from spyglass_contract.pixels import DEFAULT_LIMITS
from spyglass_training.datasets.picture import pictures_in

MAX_TOTAL_BYTES = 200_000

# The camera was turned: to stand upright the picture must be rotated by 90° clockwise.
_TURNED = 6


class Recipe(NamedTuple):
    """How one golden picture is written; its shorter side is `scale` times the network's input."""

    name: str
    scale: float
    options: dict[str, Any]
    turned: bool = False


RECIPES = (
    Recipe("small.png", 0.4, {"optimize": True}),
    Recipe("large.jpg", 4.75, {"quality": 20, "optimize": True}),
    Recipe("turned.jpg", 1.5, {"quality": 75, "optimize": True}, turned=True),
    Recipe("medium.webp", 1.75, {"quality": 60}),
    Recipe("tiny.bmp", 0.25, {}),
    Recipe("palette.gif", 0.4, {}),
    Recipe("deflate.tiff", 0.25, {"compression": "tiff_deflate"}),
)


def write_golden(pictures: Sequence[NDArray[np.uint8]], spec: InputSpec, folder: Path) -> None:
    """Writes one file a recipe into `folder`, taking the pictures in turn.

    `pictures` are uint8 [height, width, 1 or 3], upright, of any size; they must not come from the data that
    the network was trained on. Raises InvalidInput where the files exceed 200 kB together.
    """
    folder.mkdir()
    for recipe, picture in zip(RECIPES, itertools.cycle(pictures), strict=False):
        image = from_array(picture, DEFAULT_LIMITS, spec)
        _write(_resized(image, recipe.scale * min(spec.height, spec.width)), recipe, folder / recipe.name)
    total = sum(path.stat().st_size for path in folder.iterdir())
    if total > MAX_TOTAL_BYTES:
        raise InvalidInput(
            f"the golden pictures have {total:,} bytes, more than {MAX_TOTAL_BYTES:,}; take plainer pictures",
            field="pictures",
        )


def read_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """The pictures in `folder`, uint8 [height, width, 3], upright, at full size.

    Raises NotFound where there are none, and ImageError, with its name, where one cannot be read.
    """
    paths = pictures_in(folder) if folder.is_dir() else []
    if not paths:
        raise NotFound(f"there are no pictures in {folder}", reason="DATA_NOT_FOUND")
    return [_read(path) for path in paths]


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(decode(path.read_bytes(), DEFAULT_LIMITS)[0])
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _resized(image: Image.Image, shorter_side: float) -> Image.Image:
    ratio = shorter_side / min(image.size)
    return image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)


def _write(image: Image.Image, recipe: Recipe, path: Path) -> None:
    exif = Image.Exif()
    if recipe.turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[Base.Orientation] = _TURNED
        image.save(path, exif=exif, **recipe.options)
    else:
        image.save(path, **recipe.options)
