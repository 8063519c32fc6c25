"""Features of layers that do not learn, computed once and kept for other runs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.files import write_whole

# Features that need more bytes than this are not kept in memory.
MEMORY_BYTES = 4 * 1024**3


def cut(model: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """Split a network after a layer: (up to and including it, from there to the end).

    Both parts share the network's layers. The layers after the cut must form a plain row.
    """
    features = model.get_layer(layer_name).output
    names = [layer.name for layer in model.layers]
    entering = x = keras.Input(features.shape[1:], dtype=features.dtype, name="features")
    for layer in model.layers[names.index(layer_name) + 1 :]:
        x = layer(x)
    return keras.Model(model.input, features), keras.Model(entering, x, name=f"{model.name}_head")


class Features:
    """The output of a network that does not learn, for each image."""

    def __init__(self, base: keras.Model, batch_size: int, cache: Path | None = None) -> None:
        """`base` takes uint8 [batch, height, width, channels]; the folder `cache` keeps its outputs."""
        self._base, self._batch_size = base, batch_size
        # The output for a batch of noise identifies the base.
        noise = np.random.default_rng(0).integers(0, 256, (batch_size, *base.input_shape[1:]), np.uint8)
        output = self._outputs(noise)
        self._shape, self._dtype = output.shape[1:], output.dtype
        self._folder: Path | None = None
        if cache is not None:
            named = hashlib.sha256(f"{self._shape} {self._dtype}".encode() + output.tobytes())
            self._folder = cache / f"features-{named.hexdigest()[:32]}"
            self._folder.mkdir(parents=True, exist_ok=True)

    def fit_in_memory(self, count: int) -> bool:
        """Return whether the features of `count` images take at most `MEMORY_BYTES`."""
        return count * math.prod(self._shape) * self._dtype.itemsize <= MEMORY_BYTES

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Return [count, …] in the dtype of the base's output: the features of every image, in order.

        The features of an image do not depend on the other images.
        """
        found = np.empty((len(pixels), *self._shape), self._dtype)
        missing_indices = []
        for index, image in enumerate(pixels):
            kept = self._kept(image)
            if kept is None:
                missing_indices.append(index)
            else:
                found[index] = kept
        for start in range(0, len(missing_indices), self._batch_size):
            indices = missing_indices[start : start + self._batch_size]
            found[indices] = self._outputs(pixels[indices])
            self._keep(indices, pixels, found)
        return found

    def _outputs(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """Compute in batches of one size, because another size may change the order of sums."""
        missing = self._batch_size - len(pixels)
        whole = np.pad(pixels, [(0, missing), *[(0, 0)] * (pixels.ndim - 1)])
        return np.asarray(self._base.predict_on_batch(whole))[: len(pixels)]

    def _kept(self, image: NDArray[np.uint8]) -> NDArray[Any] | None:
        """Return None if the cache has no features of this image, or damaged ones."""
        if self._folder is None:
            return None
        try:
            data = self._file(image).read_bytes()
        except FileNotFoundError:
            return None
        digest, values = data[:32], data[32:]
        if hashlib.sha256(values).digest() != digest:
            return None
        return np.frombuffer(values, self._dtype).reshape(self._shape)

    def _keep(self, indices: Sequence[int], pixels: NDArray[np.uint8], outputs: NDArray[Any]) -> None:
        if self._folder is None:
            return
        for index in indices:
            values = outputs[index].tobytes()
            write_whole(self._file(pixels[index]), hashlib.sha256(values).digest() + values)

    def _file(self, image: NDArray[np.uint8]) -> Path:
        assert self._folder is not None
        return self._folder / hashlib.sha256(image.tobytes()).hexdigest()


def mirrored(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Yield [count, height, width, channels] as it is, flipped left to right, upside down, and both."""
    for rows in (1, -1):
        for columns in (1, -1):
            yield pixels[:, ::rows, ::columns]
