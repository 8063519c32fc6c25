"""Images to the network's input, many at a time, and what is wrong with those that cannot be read."""

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

# Images that may be decoded ahead of the one that is being used, and that one thread takes at a time: small
# ones are decoded faster than they are handed out.
_AHEAD, _HANDFUL = 1024, 16


@dataclass(frozen=True)
class Decoded:
    """An image as the network takes it."""

    # uint8 [height, width, channels].
    pixels: NDArray[np.uint8]
    # uint8 [height, width]; None where the image has none.
    mask: NDArray[np.uint8] | None
    # SHA-256 of what was read, lower-case hexadecimal.
    sha256: str


@dataclass(frozen=True)
class Broken:
    """An image that cannot be read."""

    name: str
    reason: str


def decode_in_order(images: Sequence[Example], spec: InputSpec) -> Iterator[Decoded | Broken]:
    """What becomes of each image, in the order given, decoded on as many threads as there are cores."""
    # Pillow holds no lock while it decodes, so threads are enough.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode") as pool:
        for start in range(0, len(images), _AHEAD):
            ahead = images[start : start + _AHEAD]
            handfuls = [ahead[first : first + _HANDFUL] for first in range(0, len(ahead), _HANDFUL)]
            for decoded in pool.map(lambda handful: [_decode(each, spec) for each in handful], handfuls):
                yield from decoded


def _decode(image: Example, spec: InputSpec) -> Decoded | Broken:
    try:
        data = image.read()
        prepared = prepare(data, spec)
        mask = None if image.read_mask is None else image.read_mask()
        if mask is not None:
            _check_size(mask, prepared)
    except FileNotFoundError:
        return Broken(image.name, "there is no such file")
    except (SpyglassError, OSError) as error:
        return Broken(image.name, str(error))
    digest = hashlib.sha256(data if isinstance(data, bytes) else data.tobytes())
    if mask is None:
        return Decoded(prepared.pixels, None, digest.hexdigest())
    digest.update(mask.tobytes())
    return Decoded(prepared.pixels, mask_to_input(mask, spec, outside=image.outside), digest.hexdigest())


def _check_size(mask: NDArray[np.uint8], prepared: Prepared) -> None:
    height, width = mask.shape
    if (width, height) != (prepared.width, prepared.height):
        raise ImageError(f"the image is {prepared.width}×{prepared.height}, its mask {width}×{height}")
