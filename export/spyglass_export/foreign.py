"""A classifier that others made: what its input and output are, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB, ColorMode
from spyglass_contract.errors import ModelError
from spyglass_export.prove import open_session

_COLOR_MODES = {1: COLOR_MODE_GREY, 3: COLOR_MODE_RGB}


@dataclass(frozen=True)
class PictureInput:
    """The only input of a network: float32 [batch, channels, height, width], or with the channels last."""

    tensor: str
    channels: int
    channels_first: bool
    # None where the network takes any.
    height: int | None
    width: int | None

    @property
    def color_mode(self) -> ColorMode.ValueType:
        return _COLOR_MODES[self.channels]

    def check_size(self, height: int, width: int) -> None:
        """Raises ModelError where the network does not take pictures of this size."""
        if self.height not in (None, height) or self.width not in (None, width):
            raise ModelError(f"the network takes {self.height}x{self.width} pixels, not {height}x{width}")


def find_input(model: onnx.ModelProto) -> PictureInput:
    """What the graph says of its input. Raises ModelError where it does not take pictures one by one."""
    if len(model.graph.input) != 1:
        raise ModelError(f"the network has the inputs {[v.name for v in model.graph.input]}, not one picture")
    (value,) = model.graph.input
    kind = value.type.tensor_type
    batch, *dims = [dim.dim_value or None for dim in kind.shape.dim] or [None]
    if kind.elem_type != TensorProto.FLOAT or len(dims) != 3:
        raise ModelError(f"the network's input '{value.name}' is not float32 of four dimensions")
    if batch not in (None, 1):
        raise ModelError(f"the network takes {batch} pictures at a time; export it with a dynamic batch")
    first, last = dims[0] in _COLOR_MODES, dims[2] in _COLOR_MODES
    if first == last:
        raise ModelError(
            f"the input '{value.name}' of {dims} does not tell which dimension is its 1 or 3 channels"
        )
    channels, height, width = dims if first else (dims[2], dims[0], dims[1])
    return PictureInput(value.name, channels or 0, first, height, width)


def find_output(model: onnx.ModelProto, name: str | None) -> str:
    """The output called `name`, or the only one there is. Raises ModelError."""
    outputs = [value.name for value in model.graph.output]
    if name in outputs:
        return name
    if name is None and len(outputs) == 1:
        return outputs[0]
    raise ModelError(f"name the output that holds the class scores; the network's are {', '.join(outputs)}")


class Network:
    """The file as it came, in ONNX Runtime."""

    def __init__(self, model: onnx.ModelProto, output: str) -> None:
        """Raises ModelError where ONNX Runtime refuses it."""
        self._session = open_session(model.SerializeToString())
        self._input = self._session.get_inputs()[0].name
        self.output = output

    def run(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        """The numbers for each picture, [pictures, columns]. Raises ModelError where it does not run."""
        try:
            (answers,) = self._session.run([self.output], {self._input: pictures})
        # ONNX Runtime's exceptions have no base of their own.
        except Exception as error:
            raise ModelError(
                f"the network does not run on a picture of {list(pictures.shape)}: {error}"
            ) from error
        return np.asarray(answers, np.float32).reshape(len(pictures), -1)
