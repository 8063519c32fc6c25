"""The input of a classifier from elsewhere: its element type, layout, channels and size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import TensorProto

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, COLOR_MODE_RGB, ColorMode
from spyglass_contract.errors import ModelError

Layout = Literal["nchw", "nhwc"]

_COLOR_MODES = {1: COLOR_MODE_GREY, 3: COLOR_MODE_RGB}
_ELEMENTS = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}
_RANK = 4
_KINDS = {
    "sequence_type": "a sequence",
    "map_type": "a map",
    "optional_type": "an optional value",
    "sparse_tensor_type": "a sparse tensor",
}

# A shape [batch, …] without unknown sizes.
Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class ImageInput:
    """The only input of a network: [batch, channels, height, width], or with the channels last."""

    tensor: str
    # As in TensorProto.DataType: float32, float16, float64 or uint8.
    element: int
    channels: int
    channels_first: bool
    height: int
    width: int
    # The batch size that the file declares, None if it declares none.
    batch: int | None

    @property
    def color_mode(self) -> ColorMode.ValueType:
        return _COLOR_MODES[self.channels]

    @property
    def shape(self) -> Shape:
        """The shape of one image."""
        return _shape(self.channels_first, self.channels, self.height, self.width)


def declared_batch(model: onnx.ModelProto) -> int | None:
    """Return the batch size that the file declares, None if it declares none.

    Raises ModelError if the input is not one image or a batch of images, as far as the file declares it.
    """
    _, batch, _ = _declared(_only_input(model))
    return batch


def find_input(
    model: onnx.ModelProto, size: tuple[int, int], layout: Layout | None, takes: Callable[[int, Shape], bool]
) -> ImageInput:
    """Return the input of a graph, for images of `size`, (height, width).

    `layout` overrules nothing that the file declares: it says what the file leaves open. If it is None, and
    the declared sizes do not tell, `takes(element, shape)` runs the network on each possible shape. Raises
    ModelError if the input is not one image or a batch of images, has another size, or remains unclear.
    """
    value = _only_input(model)
    element, batch, dims = _declared(value)
    fitting = [
        (first, channels)
        for first in (True, False)
        for channels in (3, 1)
        if layout in (None, "nchw" if first else "nhwc") and _fits(dims, _shape(first, channels, *size)[1:])
    ]
    if not fitting:
        raise ModelError(_misfit(value.name, dims, size, layout))
    if len(fitting) > 1 and not (
        fitting := [each for each in fitting if takes(element, _shape(*each, *size))]
    ):
        raise ModelError(
            f"the file does not declare the sizes of the input '{value.name}', and the network runs on no "
            f"image of {size[0]}x{size[1]} pixels with 1 or 3 channels; check --size"
        )
    if len({first for first, _ in fitting}) > 1:
        raise ModelError(
            f"cannot tell which dimension of the input '{value.name}', {_text(dims)}, is the 1 or 3 "
            "channels; name the layout with --layout nchw (channels first) or --layout nhwc (channels last)"
        )
    # A network that takes 3 channels and 1 repeats the one, for a mean of three numbers.
    first, channels = fitting[0]
    return ImageInput(value.name, element, channels, first, *size, batch)


def with_sizes(model: onnx.ModelProto, image: ImageInput) -> None:
    """Declare the sizes of the input in place, so that all inner shapes can be found. The batch stays."""
    (value,) = (value for value in model.graph.input if value.name == image.tensor)
    batch = onnx.TensorShapeProto.Dimension(dim_param="batch")
    if image.batch:
        batch = onnx.TensorShapeProto.Dimension(dim_value=image.batch)
    sizes = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in image.shape[1:]]
    value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto(dim=[batch, *sizes]))


def _only_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in weights]
    if len(fed) != 1:
        names = [value.name for value in fed]
        raise ModelError(f"the network must have one input, an image, not the inputs {names}")
    return fed[0]


def _declared(value: onnx.ValueInfoProto) -> tuple[int, int | None, list[int | None]]:
    """Element type, batch size, and the three sizes of an input; None if the file leaves a size open."""
    kind = value.type.tensor_type
    # 0 and -1 leave a size open, as a name does.
    dims: list[int | None] = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]
    if not kind.HasField("shape"):
        dims = [None] * _RANK
    if kind.elem_type not in _ELEMENTS or len(dims) != _RANK:
        raise ModelError(
            f"the network's input '{value.name}' must have 4 dimensions of {', '.join(_ELEMENTS.values())}, "
            f"not {type_text(value)}"
        )
    batch, *sizes = dims
    return kind.elem_type, batch, sizes


def type_text(value: onnx.ValueInfoProto) -> str:
    """Return the type of an input or output in words, such as `2 of int64`, or `a sequence`."""
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return _KINDS.get(kind or "", "a value without a type")
    tensor = value.type.tensor_type
    known = TensorProto.DataType.values()
    name = (
        TensorProto.DataType.Name(tensor.elem_type).lower()
        if tensor.elem_type in known
        else "an unknown type"
    )
    return f"{len(tensor.shape.dim)} of {name}"


def _shape(first: bool, channels: int, height: int, width: int) -> Shape:
    return (1, channels, height, width) if first else (1, height, width, channels)


def _fits(dims: list[int | None], sizes: tuple[int, ...]) -> bool:
    return all(dim in (None, size) for dim, size in zip(dims, sizes, strict=True))


def _text(dims: list[int | None]) -> str:
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]"


def _misfit(name: str, dims: list[int | None], size: tuple[int, int], layout: Layout | None) -> str:
    """Say why no image of `size` fits the declared sizes."""
    stated = {"nchw": dims[1:], "nhwc": dims[:2]}
    channels = {"nchw": dims[0], "nhwc": dims[2]}
    possible = [each for each in stated if channels[each] in (None, *_COLOR_MODES) and layout in (None, each)]
    # A layout that the file declares itself comes before one that it leaves open.
    possible.sort(key=lambda each: channels[each] is None)
    if not possible:
        told = f"--layout {layout}" if layout else "an image"
        return f"the input '{name}', {_text(dims)}, does not fit {told}: the channels must be 1 or 3"
    height, width = ("?" if dim is None else dim for dim in stated[possible[0]])
    return f"the network takes {height}x{width} pixels, not {size[0]}x{size[1]}"
