"""A classifier from elsewhere: its input, its output and its results in ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB, ColorMode
from spyglass_contract.errors import ModelError
from spyglass_contract.model.card import CLASS_INDEX, FEATURE_MAP, HEATMAP, METADATA_KEY, SCORES
from spyglass_export.gradcam.errors import Advice, ScoresError
from spyglass_export.runtime_errors import first_sentence
from spyglass_export.session import open_session

_COLOR_MODES = {1: COLOR_MODE_GREY, 3: COLOR_MODE_RGB}
_ELEMENTS = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}


@dataclass(frozen=True)
class ImageInput:
    """The only input of a network: [batch, channels, height, width], or with the channels last."""

    tensor: str
    # As in TensorProto.DataType: float32, float16, float64 or uint8.
    element: int
    channels: int
    channels_first: bool
    # None if the network takes any size.
    height: int | None
    width: int | None

    @property
    def color_mode(self) -> ColorMode.ValueType:
        return _COLOR_MODES[self.channels]

    def check_size(self, height: int, width: int) -> None:
        """Raise ModelError if the network does not take images of this size."""
        if self.height not in (None, height) or self.width not in (None, width):
            raise ModelError(f"the network takes {self.height}x{self.width} pixels, not {height}x{width}")


def reject_model_with_heatmap(model: onnx.ModelProto) -> None:
    """Raise ModelError for a model file of Spyglass, and for a network that already has a heatmap."""
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ModelError(
            "the file is already a Spyglass model with card and certificate; for another heatmap, export its "
            "run again with `spyglass export`, or give the network from before `spyglass attach-heatmap`"
        )
    # Check the input too: a network of another kind may have an output called heatmap.
    has_class_index = any(value.name == CLASS_INDEX for value in model.graph.input)
    found = [value.name for value in model.graph.output if value.name in (HEATMAP, FEATURE_MAP, SCORES)]
    if has_class_index and found:
        raise ModelError(
            f"the network already has a heatmap, its output {found[0]}; give the network without a heatmap"
        )


def find_input(model: onnx.ModelProto) -> ImageInput:
    """Return the input of a graph. Raises ModelError if it is not one image or a batch of images."""
    if len(model.graph.input) != 1:
        names = [value.name for value in model.graph.input]
        raise ModelError(f"the network must have one input, an image, not the inputs {names}")
    (value,) = model.graph.input
    kind = value.type.tensor_type
    batch, *dims = [dim.dim_value or None for dim in kind.shape.dim] or [None]
    if kind.elem_type not in _ELEMENTS or len(dims) != 3:
        raise ModelError(
            f"the network's input '{value.name}' must have 4 dimensions of {', '.join(_ELEMENTS.values())}, "
            f"not {len(dims) + 1} of {TensorProto.DataType.Name(kind.elem_type).lower()}"
        )
    if batch not in (None, 1):
        raise ModelError(f"the network takes {batch} images at a time; export it with a dynamic batch")
    first, last = dims[0] in _COLOR_MODES, dims[2] in _COLOR_MODES
    if first == last:
        raise ModelError(
            f"cannot tell which dimension of the input '{value.name}', {dims}, is the 1 or 3 channels"
        )
    channels, height, width = dims if first else (dims[2], dims[0], dims[1])
    return ImageInput(value.name, kind.elem_type, channels or 0, first, height, width)


def find_output(model: onnx.ModelProto, name: str | None) -> str:
    """Return the output called `name`, or the only output if `name` is None. Raises ScoresError."""
    outputs = [value.name for value in model.graph.output]
    if name in outputs:
        return name
    if name is None and len(outputs) == 1:
        return outputs[0]
    known = ", ".join(outputs)
    if name is not None:
        raise ScoresError(f"the network has no output '{name}'; its outputs are {known}")
    raise ScoresError(f"the network has several outputs: {known}", Advice.NAME_SCORES)


class Network:
    """The given network in ONNX Runtime, unchanged."""

    def __init__(self, model: onnx.ModelProto, output: str) -> None:
        """Open the network. Raises ModelError if ONNX Runtime rejects it."""
        self._session = open_session(model.SerializeToString())
        self._input = self._session.get_inputs()[0].name
        self.output = output

    def run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the output for each image, [images, columns]. Raises ModelError if the network fails."""
        try:
            (found,) = self._session.run([self.output], {self._input: images})
        # ONNX Runtime's exceptions have no common base class.
        except Exception as error:
            raise ModelError(
                f"the network fails on an image of shape {list(images.shape)}: {first_sentence(error)}"
            ) from error
        return np.asarray(found, np.float32).reshape(len(images), -1)
