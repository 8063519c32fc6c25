"""Golden images: encoded files of many kinds, on which a model's certificate is checked.

They cover the path from bytes to pixels: every format that is read, sizes below and above the network's
input, a JPEG large enough to be decoded at a reduced scale, and one that only EXIF turns upright. A model
file contains them, so their total size is bounded for any images and any network's input.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, NotFound
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.pixels import DEFAULT_LIMITS
from spyglass_training.datasets.example import images_in

MAX_TOTAL_BYTES = 200_000
# Limits of one image. Two images of one colour fit into the total size at this many pixels, and every image
# becomes one colour if necessary. No side of a WebP may be longer than MAX_SIDE.
MAX_PIXELS, MAX_SIDE = 8_000_000, 16_383

# While the files are too large, an image keeps this fraction of its detail in each step. If the file then
# keeps more than the second fraction of its size, it has no detail left to remove.
_PLAINER, _WORTHWHILE = 0.7, 0.97

# EXIF orientation 6: to stand upright the image must be rotated by 90° clockwise.
_TURNED = 6


class Recipe(NamedTuple):
    """The form of one golden image; its shorter side is `scale` times the network's input."""

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


def write_golden(images: Sequence[NDArray[np.uint8]], spec: InputSpec, folder: Path) -> None:
    """Write one file for each recipe into `folder`, from the images in turn; at most 200 kB in total.

    `images` are uint8 [height, width, 1 or 3], upright, of any size; they must not come from the data that
    the network was trained on. If the folder exists, files of the same names are replaced.
    """
    folder.mkdir(exist_ok=True)
    for name, data in _encoded(images, spec).items():
        (folder / name).write_bytes(data)


def _encoded(images: Sequence[NDArray[np.uint8]], spec: InputSpec) -> dict[str, bytes]:
    """Return the files by name. The largest file loses detail until all fit into the total size."""
    recipes = {recipe.name: recipe for recipe in RECIPES}
    upright = {
        name: from_array(image, DEFAULT_LIMITS, spec)
        for name, image in zip(recipes, itertools.cycle(images), strict=False)
    }
    files = {name: _encode(upright[name], recipe, spec, 1.0) for name, recipe in recipes.items()}
    detail = dict.fromkeys(recipes, 1.0)
    while detail and sum(map(len, files.values())) > MAX_TOTAL_BYTES:
        largest = max(detail, key=lambda name: len(files[name]))
        detail[largest] *= _PLAINER
        plainer = _encode(upright[largest], recipes[largest], spec, detail[largest])
        if len(plainer) > _WORTHWHILE * len(files[largest]):
            del detail[largest]
        files[largest] = min(files[largest], plainer, key=len)
    return files


def read_images(folder: Path) -> list[NDArray[np.uint8]]:
    """Return the images in `folder`, uint8 [height, width, 3], upright, at full size.

    Raises NotFound if there are none, and ImageError, with the file's name, if one cannot be read.
    """
    paths = images_in(folder) if folder.is_dir() else []
    if not paths:
        raise NotFound(f"there are no images in {folder}", reason="DATA_NOT_FOUND")
    return [_read(path) for path in paths]


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return np.asarray(decode(path.read_bytes(), DEFAULT_LIMITS)[0])
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _encode(image: Image.Image, recipe: Recipe, spec: InputSpec, detail: float) -> bytes:
    """Return a file with the fraction `detail` (0 to 1) of the image's detail.

    An image smaller than the network's input is scaled down. A larger one is blurred, because its size is
    what it tests.
    """
    side = recipe.scale * min(spec.height, spec.width)
    if recipe.scale > 1 and detail < 1:
        # An image that must be enlarged has no more detail than its own pixels.
        image = _resized(image, min(side, *image.size) * detail)
    resized = _resized(image, side if recipe.scale > 1 else side * detail)
    exif = Image.Exif()
    if recipe.turned:
        resized = resized.transpose(Image.Transpose.ROTATE_90)
        exif[Base.Orientation] = _TURNED
    output = io.BytesIO()
    options = {**recipe.options, "exif": exif} if recipe.turned else recipe.options
    resized.save(output, Path(recipe.name).suffix[1:].replace("jpg", "jpeg"), **options)
    return output.getvalue()


def _resized(image: Image.Image, shorter_side: float) -> Image.Image:
    most = math.sqrt(MAX_PIXELS / (image.width * image.height))
    ratio = min(shorter_side / min(image.size), MAX_SIDE / max(image.size), most)
    size = (max(1, round(image.width * ratio)), max(1, round(image.height * ratio)))
    return image.resize(size, Image.Resampling.BICUBIC)
