"""The layers of a Keras network, with their costs and receptive fields."""

from __future__ import annotations

from math import prod
from typing import Any

import keras
from keras import layers

from spyglass_training.inspect.arithmetic import EVERYTHING, PIXEL, ReceptiveField, Row, joined
from spyglass_training.inspect.flat import Step, flatten

_POOLINGS = (layers.MaxPooling2D, layers.AveragePooling2D)
_SLIDING = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


def summarise(model: keras.Model) -> list[Row]:
    """Return a row for each layer, nested networks expanded. Raises FailedPrecondition."""
    network = flatten(model)
    fields = {id(network.image): PIXEL}
    counted: set[int] = set()
    rows = []
    for step in network.steps:
        entering = joined(fields.get(id(tensor), EVERYTHING) for tensor in step.inputs)
        fields[id(step.output)] = _receptive_field(step, entering)
        rows.append(
            Row(
                name=step.name,
                kind=type(step.layer).__name__,
                shape=tuple(step.output.shape[1:]),
                parameters=_parameters(step.layer, counted),
                multiply_adds=_multiply_adds(step),
                receptive_field=fields[id(step.output)],
            )
        )
    return rows


def _parameters(layer: Any, counted: set[int]) -> int:
    """Count the parameters of a layer that is applied twice only once."""
    weights = [weight for weight in getattr(layer, "weights", []) if id(weight) not in counted]
    counted.update(id(weight) for weight in weights)
    return sum(prod(weight.shape) for weight in weights)


def _receptive_field(step: Step, entering: ReceptiveField) -> ReceptiveField:
    layer = step.layer
    if len(step.output.shape) != 4:
        return EVERYTHING
    if isinstance(layer, layers.Conv2DTranspose):
        return entering.spread(_pair(layer.kernel_size), _pair(layer.strides))
    if isinstance(layer, _SLIDING):
        return entering.slide(_pair(layer.kernel_size), _pair(layer.strides), _pair(layer.dilation_rate))
    if isinstance(layer, _POOLINGS):
        return entering.slide(_pair(layer.pool_size), _pair(layer.strides))
    if isinstance(layer, layers.UpSampling2D):
        return entering.spread((1, 1), _pair(layer.size))
    # One value for each channel: a global pooling, or a layer after one.
    if tuple(step.output.shape[1:3]) == (1, 1) and not _is_pixel(step):
        return EVERYTHING
    return entering


def _is_pixel(step: Step) -> bool:
    return all(tuple(tensor.shape[1:3]) == (1, 1) for tensor in step.inputs)


def _multiply_adds(step: Step) -> int | None:
    """Count convolutions and dense layers; elementwise operations are not counted."""
    layer, into, out = step.layer, step.inputs[0].shape[1:], step.output.shape[1:]
    if None in into or None in out:
        return None
    if isinstance(layer, layers.Dense):
        return int(prod(out) * into[-1])
    # A transposed convolution multiplies for each input, the others for each output.
    if isinstance(layer, layers.Conv2DTranspose):
        return int(prod(into) * prod(layer.kernel_size) * out[-1])
    if isinstance(layer, layers.SeparableConv2D):
        places, widened = prod(out[:2]), into[-1] * layer.depth_multiplier
        return int(places * widened * (prod(layer.kernel_size) + out[-1]))
    if isinstance(layer, layers.DepthwiseConv2D):
        return int(prod(out) * prod(layer.kernel_size))
    if isinstance(layer, layers.Conv2D):
        return int(prod(out) * prod(layer.kernel_size) * into[-1] // layer.groups)
    return 0


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
