"""What a classifier wants done to pixels before they enter it: as nodes of its graph, and in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from spyglass_contract.errors import InvalidInput
from spyglass_export.gradcam.builder import GraphBuilder

_TO_CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(frozen=True)
class Preprocessing:
    """(pixel · scale - mean) / std for pixels of 0 to 255.

    `mean` and `std` have one number for all channels, or one for each, in the order in which the network
    takes them: blue first where `bgr` is set.
    """

    scale: float = 1.0
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    bgr: bool = False

    def check(self, channels: int, element: int) -> None:
        """Raises InvalidInput where it does not fit a network of so many channels and that element type."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise InvalidInput(
                    f"{len(numbers)} numbers, where the network has {channels} channels", field=name
                )
        if not np.isfinite([self.scale, *self.mean, *self.std]).all() or 0 in (self.scale, *self.std):
            raise InvalidInput("scale, mean and std must be finite, scale and std not 0", field="std")
        if self.bgr and channels != 3:
            raise InvalidInput("a network of grey images has no order of channels", field="channel_order")
        if element == TensorProto.UINT8 and not self.leaves_pixels:
            raise InvalidInput(
                "the network takes uint8, the pixels themselves: scale, mean and std are its own",
                field="scale",
            )

    @property
    def leaves_pixels(self) -> bool:
        """Whether every pixel keeps its value."""
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1}


def customary_scale(mean: Sequence[float], std: Sequence[float]) -> float:
    """1/255 where `mean` and `std` are of pixels from 0 to 1, as torchvision states them, and else 1.

    Of pixels from 0 to 255 they are not as small as 1 throughout; 0 and 1 change nothing and say nothing.
    """
    small = all(abs(number) <= 1 for number in (*mean, *std))
    return 1 / 255 if small and (any(mean) or set(std) != {1}) else 1.0


def add_nodes(
    build: GraphBuilder, pixels: str, wanted: Preprocessing, *, channels_first: bool, element: int
) -> str:
    """The name of the tensor that `pixels`, uint8 [batch, height, width, channels], becomes.

    `element` is what the network takes, as in TensorProto.DataType; the arithmetic is done in float32.
    """
    tensor = pixels
    if wanted.bgr:
        tensor = build.add("Gather", tensor, build.integers([2, 1, 0]), axis=3)
    if element != TensorProto.UINT8:
        tensor = _add_arithmetic(build, tensor, wanted, element)
    if channels_first:
        tensor = build.add("Transpose", tensor, perm=_TO_CHANNELS_FIRST)
    return build.add("Identity", tensor) if tensor == pixels else tensor


def _add_arithmetic(build: GraphBuilder, pixels: str, wanted: Preprocessing, element: int) -> str:
    tensor = build.add("Cast", pixels, to=TensorProto.FLOAT)
    if wanted.scale != 1:
        tensor = build.add("Mul", tensor, build.floats(wanted.scale))
    if any(wanted.mean):
        tensor = build.add("Sub", tensor, build.floats(wanted.mean))
    if set(wanted.std) != {1}:
        tensor = build.add("Div", tensor, build.floats(wanted.std))
    return tensor if element == TensorProto.FLOAT else build.add("Cast", tensor, to=element)


def preprocess(
    pixels: NDArray[np.uint8], wanted: Preprocessing, *, channels_first: bool, element: int
) -> NDArray[Any]:
    """The same in numpy: what a caller of the network alone would feed it."""
    ordered = pixels[..., ::-1] if wanted.bgr else pixels
    fed = ordered if element == TensorProto.UINT8 else _arithmetic(ordered, wanted, element)
    return np.ascontiguousarray(fed.transpose(_TO_CHANNELS_FIRST) if channels_first else fed)


def _arithmetic(pixels: NDArray[np.uint8], wanted: Preprocessing, element: int) -> NDArray[Any]:
    scaled = pixels.astype(np.float32) * np.float32(wanted.scale)
    normalised = (scaled - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    return normalised.astype(helper.tensor_dtype_to_np_dtype(element))
