"""Features that never change are computed once, not in every epoch, and are kept for the next run."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# More features than this are not held in memory.
MEMORY_BYTES = 4 * 1024**3


def cut(model: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """The network up to and with that layer, and from there to its end; both share its layers.

    What follows the layer must be a plain row of layers.
    """
    features = model.get_layer(layer_name).output
    names = [layer.name for layer in model.layers]
    entering = x = keras.Input(features.shape[1:], dtype=features.dtype, name="features")
    for layer in model.layers[names.index(layer_name) + 1 :]:
        x = layer(x)
    return keras.Model(model.input, features), keras.Model(entering, x, name=f"{model.name}_head")


class Features:
    """What a base that does not learn answers to images."""

    def __init__(self, base: keras.Model, batch_size: int, cache: Path | None = None) -> None:
        """`base` takes uint8 [batch, height, width, channels]; under `cache` its answers are kept."""
        self._base, self._batch_size = base, batch_size
        # A batch of noise: the base's answer to it tells the base from all others.
        noise = np.random.default_rng(0).integers(0, 256, (batch_size, *base.input_shape[1:]), np.uint8)
        answer = self._answers(noise)
        self._shape, self._dtype = answer.shape[1:], answer.dtype
        self._folder: Path | None = None
        if cache is not None:
            named = hashlib.sha256(f"{self._shape} {self._dtype}".encode() + answer.tobytes())
            self._folder = cache / f"features-{named.hexdigest()[:32]}"
            self._folder.mkdir(parents=True, exist_ok=True)

    def fit_in_memory(self, count: int) -> bool:
        """Whether those of so many images are at most `MEMORY_BYTES`."""
        return count * math.prod(self._shape) * self._dtype.itemsize <= MEMORY_BYTES

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """[count, …] in the dtype of the base's output: its answer to every image, in order.

        What an image is answered does not depend on the images beside it.
        """
        found = np.empty((len(pixels), *self._shape), self._dtype)
        wanted = []
        for index, image in enumerate(pixels):
            kept = self._kept(image)
            if kept is None:
                wanted.append(index)
            else:
                found[index] = kept
        for start in range(0, len(wanted), self._batch_size):
            indices = wanted[start : start + self._batch_size]
            found[indices] = self._answers(pixels[indices])
            self._keep(indices, pixels, found)
        return found

    def _answers(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        """In batches of one size: with another, sums may be added up in another order."""
        missing = self._batch_size - len(pixels)
        whole = np.pad(pixels, [(0, missing), *[(0, 0)] * (pixels.ndim - 1)])
        return np.asarray(self._base.predict_on_batch(whole))[: len(pixels)]

    def _kept(self, image: NDArray[np.uint8]) -> NDArray[Any] | None:
        """None where nothing is kept of this image, or what is kept is damaged."""
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

    def _keep(self, indices: Sequence[int], pixels: NDArray[np.uint8], answers: NDArray[Any]) -> None:
        if self._folder is None:
            return
        # Each is there whole or not at all, and other runs may write the same at the same time.
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=self._folder) as unfinished:
            for index in indices:
                values, file = answers[index].tobytes(), self._file(pixels[index])
                temporary = Path(unfinished) / file.name
                temporary.write_bytes(hashlib.sha256(values).digest() + values)
                temporary.replace(file)

    def _file(self, image: NDArray[np.uint8]) -> Path:
        assert self._folder is not None
        return self._folder / hashlib.sha256(image.tobytes()).hexdigest()


def mirrored(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """[count, height, width, channels] as they are, left to right, upside down, and both: views."""
    for rows in (1, -1):
        for columns in (1, -1):
            yield pixels[:, ::rows, ::columns]
