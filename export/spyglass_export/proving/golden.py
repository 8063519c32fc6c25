"""Golden images as the network's input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import ModelError, SpyglassError
from spyglass_contract.images.pixels import prepare


def golden_pixels(spec: InputSpec, name: str, encoded: bytes) -> NDArray[np.uint8]:
    """Return an encoded image as uint8 [1, height, width, channels]. Raises ModelError with its `name`."""
    try:
        return prepare(encoded, spec).pixels[np.newaxis]
    except SpyglassError as error:
        raise ModelError(f"cannot read the golden image {name}: {error.message}") from error
