"""Decoding of many images to the network's input in parallel, with the reasons for failures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ImageError, SpyglassError
from spyglass_contract.images.pixels import Prepared, prepare
from spyglass_contract.masks.placement import mask_to_input
from spyglass_training.datasets.example import Example

# Number of images decoded ahead of the consumer, and number that one thread takes at a time: small images are
# decoded faster than they are handed over.
_AHEAD, _CHUNK = 1024, 16


@dataclass(frozen=True)
class Decoded:
    """An image as the network takes it."""

    # uint8 [height, width, channels].
    pixels: NDArray[np.uint8]
    # uint8 [height, width]; None if the image has no mask.
    mask: NDArray[np.uint8] | None
    # SHA-256 of the bytes that were read, with those of the mask, lower-case hexadecimal.
    sha256: str
    # SHA-256 of the image alone.
    image_sha256: str


@dataclass(frozen=True)
class Broken:
    """An image that cannot be read."""

    name: str
    reason: str


def decode_in_order(images: Sequence[Example], spec: InputSpec) -> Iterator[Decoded | Broken]:
    """Yield the result for each image, in the order given, decoded on as many threads as cores."""
    # Pillow holds no lock while it decodes, so threads are enough.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode") as pool:
        for start in range(0, len(images), _AHEAD):
            ahead = images[start : start + _AHEAD]
            chunks = [ahead[first : first + _CHUNK] for first in range(0, len(ahead), _CHUNK)]
            for decoded in pool.map(lambda chunk: [_decode(each, spec) for each in chunk], chunks):
                yield from decoded


def _decode(image: Example, spec: InputSpec) -> Decoded | Broken:
    try:
        data = image.read()
        prepared = prepare(data, spec)
        mask = None if image.read_mask is None else image.read_mask()
        if mask is not None:
            _check_size(mask, prepared)
    except FileNotFoundError:
        return Broken(image.name, "the file does not exist")
    except (SpyglassError, OSError) as error:
        return Broken(image.name, str(error))
    digest = hashlib.sha256(data if isinstance(data, bytes) else data.tobytes())
    of_image = digest.hexdigest()
    if mask is None:
        return Decoded(prepared.pixels, None, of_image, of_image)
    digest.update(mask.tobytes())
    placed = mask_to_input(mask, spec, outside=image.outside)
    return Decoded(prepared.pixels, placed, digest.hexdigest(), of_image)


def _check_size(mask: NDArray[np.uint8], prepared: Prepared) -> None:
    height, width = mask.shape
    if (width, height) != (prepared.width, prepared.height):
        raise ImageError(f"the image is {prepared.width}×{prepared.height}, its mask {width}×{height}")
