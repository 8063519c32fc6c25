"""A classifier that others made: what its input and output are, and what it answers."""

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
from spyglass_export.gradcam.errors import ScoresError
from spyglass_export.prove import open_session
from spyglass_export.runtime_errors import first_sentence

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
    # None where the network takes any.
    height: int | None
    width: int | None

    @property
    def color_mode(self) -> ColorMode.ValueType:
        return _COLOR_MODES[self.channels]

    def check_size(self, height: int, width: int) -> None:
        """Raises ModelError where the network does not take images of this size."""
        if self.height not in (None, height) or self.width not in (None, width):
            raise ModelError(f"the network takes {self.height}x{self.width} pixels, not {height}x{width}")


def refuse_explained(model: onnx.ModelProto) -> None:
    """Raises ModelError for a file of Spyglass's own, and for one that has a heatmap already."""
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ModelError(
            "the file is a Spyglass model already, with card and certificate; another heatmap comes of "
            "its run, by `spyglass export`, or of the network before `spyglass attach-heatmap`"
        )
    # By its input, too: a network of another kind may have an output that is called a heatmap.
    asked = any(value.name == CLASS_INDEX for value in model.graph.input)
    found = [value.name for value in model.graph.output if value.name in (HEATMAP, FEATURE_MAP, SCORES)]
    if asked and found:
        raise ModelError(
            f"the network has a heatmap already, its output {found[0]}; give the file from before that"
        )


def find_input(model: onnx.ModelProto) -> ImageInput:
    """What the graph says of its input. Raises ModelError where it does not take images one by one."""
    if len(model.graph.input) != 1:
        raise ModelError(f"the network has the inputs {[v.name for v in model.graph.input]}, not one image")
    (value,) = model.graph.input
    kind = value.type.tensor_type
    batch, *dims = [dim.dim_value or None for dim in kind.shape.dim] or [None]
    if kind.elem_type not in _ELEMENTS or len(dims) != 3:
        kinds = ", ".join(_ELEMENTS.values())
        raise ModelError(
            f"the network's input '{value.name}' is "
            f"{TensorProto.DataType.Name(kind.elem_type).lower()} of {len(dims) + 1} dimensions, "
            f"not one of {kinds} of 4"
        )
    if batch not in (None, 1):
        raise ModelError(f"the network takes {batch} images at a time; export it with a dynamic batch")
    first, last = dims[0] in _COLOR_MODES, dims[2] in _COLOR_MODES
    if first == last:
        raise ModelError(
            f"the input '{value.name}' of {dims} does not tell which dimension is its 1 or 3 channels"
        )
    channels, height, width = dims if first else (dims[2], dims[0], dims[1])
    return ImageInput(value.name, kind.elem_type, channels or 0, first, height, width)


def find_output(model: onnx.ModelProto, name: str | None) -> str:
    """The output called `name`, or the only one there is. Raises ScoresError."""
    outputs = [value.name for value in model.graph.output]
    if name in outputs:
        return name
    if name is None and len(outputs) == 1:
        return outputs[0]
    known = ", ".join(outputs)
    if name is not None:
        raise ScoresError(f"'{name}' is no output of the network; its outputs are {known}")
    raise ScoresError(
        f"the network has the outputs {known}; name the one that holds the class scores with scores=…"
    )


class Network:
    """The file as it came, in ONNX Runtime."""

    def __init__(self, model: onnx.ModelProto, output: str) -> None:
        """Raises ModelError where ONNX Runtime refuses it."""
        self._session = open_session(model.SerializeToString())
        self._input = self._session.get_inputs()[0].name
        self.output = output

    def run(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The numbers for each image, [images, columns]. Raises ModelError where it does not run."""
        try:
            (answers,) = self._session.run([self.output], {self._input: images})
        # ONNX Runtime's exceptions have no base of their own.
        except Exception as error:
            raise ModelError(
                f"the network does not run on an image of {list(images.shape)}: {first_sentence(error)}"
            ) from error
        return np.asarray(answers, np.float32).reshape(len(images), -1)
