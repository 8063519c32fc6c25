"""From pixels to the input of a classifier: as nodes of its graph, and in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from spyglass_contract.errors import InvalidInput
from spyglass_export.adopting.image_input import ImageInput
from spyglass_export.gradcam.builder import GraphBuilder

_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_TO_CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Preprocessing:
    """(pixel · scale - mean) / std for pixels of 0 to 255.

    `mean` and `std` hold one number for all channels, or one for each channel in the network's own order:
    blue first if `bgr` is set.
    """

    scale: float = 1.0
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)
    bgr: bool = False

    def check(self, channels: int, element: int) -> None:
        """Raise InvalidInput if this does not fit a network of `channels` channels and type `element`."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise InvalidInput(
                    f"{name} must have one number, or one for each of the network's {channels} channels, "
                    f"not {len(numbers)}",
                    field=name,
                )
        if not np.isfinite([self.scale, *self.mean, *self.std]).all() or 0 in (self.scale, *self.std):
            raise InvalidInput(
                "scale, mean and std must be finite, and scale and std must not be 0", field="std"
            )
        if self.bgr and channels != 3:
            raise InvalidInput(
                "the channel order bgr needs a network of 3 channels, not of grey images",
                field="channel_order",
            )
        if element == TensorProto.UINT8 and not self.leaves_pixels:
            raise InvalidInput(
                "the network takes pixels as uint8 and scales them inside; leave out scale, mean and std",
                field="scale",
            )

    @property
    def leaves_pixels(self) -> bool:
        """True if every pixel keeps its value."""
        return self.scale == 1 and not any(self.mean) and set(self.std) == {1}


def customary_scale(mean: Sequence[float], std: Sequence[float]) -> float:
    """Return 1/255 if `mean` and `std` are for pixels from 0 to 1, as in torchvision, and 1 otherwise.

    For pixels from 0 to 255, at least one of the numbers is above 1. A mean of 0 with a std of 1 changes
    nothing, so the scale stays 1.
    """
    small = all(abs(number) <= 1 for number in (*mean, *std))
    return 1 / 255 if small and (any(mean) or set(std) != {1}) else 1.0


def add_preprocessing(
    build: GraphBuilder, pixels: str, preprocessing: Preprocessing, image: ImageInput
) -> str:
    """Add nodes from `pixels`, uint8 [batch, height, width, channels], and return the name of the result.

    The result is the input of the network, as `image` says. The arithmetic is in float32, with the same
    roundings as `preprocess`. The nodes move pixels while these are still bytes: moving float32 takes eight
    times as long.
    """
    first, half = image.channels_first, image.element == TensorProto.FLOAT16
    # A Cast to float16 needs the Transpose behind it. Otherwise it meets the Cast back to float32 that ONNX
    # Runtime adds before a convolution on the CPU, and ONNX Runtime leaves out both, and so the rounding.
    early = first and not half
    tensor = pixels
    if early or preprocessing.bgr:
        tensor = build.add("Transpose", tensor, perm=_TO_CHANNELS_FIRST)
    if preprocessing.bgr:
        # Whole planes: along the last axis ONNX Runtime copies byte by byte.
        tensor = build.add("Gather", tensor, build.integers([2, 1, 0]), axis=1)
    if preprocessing.bgr and not early:
        tensor = build.add("Transpose", tensor, perm=_TO_CHANNELS_LAST)
    if image.element != TensorProto.UINT8:
        tensor = _add_arithmetic(build, tensor, preprocessing, None if early else image.width)
    if image.element not in (TensorProto.UINT8, TensorProto.FLOAT):
        tensor = build.add("Cast", tensor, to=image.element)
    if first and not early:
        tensor = build.add("Transpose", tensor, perm=_TO_CHANNELS_FIRST)
    return build.add("Identity", tensor) if tensor == pixels else tensor


def _add_arithmetic(build: GraphBuilder, pixels: str, preprocessing: Preprocessing, row: int | None) -> str:
    """Add the arithmetic in float32. `row` is the width of images with channels last, None for first."""
    tensor = build.add("Cast", pixels, to=TensorProto.FLOAT)
    if preprocessing.scale != 1:
        tensor = build.add("Mul", tensor, build.floats(preprocessing.scale))
    if any(preprocessing.mean):
        tensor = build.add("Sub", tensor, build.floats(_broadcasting(preprocessing.mean, row)))
    if set(preprocessing.std) != {1}:
        tensor = build.add("Div", tensor, build.floats(_broadcasting(preprocessing.std, row)))
    return tensor


def _broadcasting(numbers: Sequence[float], row: int | None) -> NDArray[np.float32]:
    """Numbers for all channels or for each, in a shape that broadcasts to the images.

    With channels last they fill a row of the image: ONNX Runtime works along the axes that both operands
    have, and three numbers at a time take eight times as long.
    """
    given = np.array(numbers, np.float32)
    if len(set(numbers)) == 1:
        return given[0]
    return given.reshape(1, -1, 1, 1) if row is None else np.tile(given, (row, 1))


def preprocess(
    pixels: NDArray[np.uint8], preprocessing: Preprocessing, *, channels_first: bool, element: int
) -> NDArray[Any]:
    """Compute in numpy what the added nodes compute: the input for the given network."""
    ordered = pixels[..., ::-1] if preprocessing.bgr else pixels
    fed = ordered if element == TensorProto.UINT8 else _arithmetic(ordered, preprocessing, element)
    return np.ascontiguousarray(fed.transpose(_TO_CHANNELS_FIRST) if channels_first else fed)


def _arithmetic(pixels: NDArray[np.uint8], preprocessing: Preprocessing, element: int) -> NDArray[Any]:
    scaled = pixels.astype(np.float32) * np.float32(preprocessing.scale)
    mean, std = (np.array(numbers, np.float32) for numbers in (preprocessing.mean, preprocessing.std))
    normalised = (scaled - mean) / std
    return normalised.astype(helper.tensor_dtype_to_np_dtype(element))
