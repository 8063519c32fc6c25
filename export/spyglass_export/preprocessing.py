"""What a classifier wants done to pixels before they enter it: as nodes of its graph, and in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

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

    def check(self, channels: int) -> None:
        """Raises InvalidInput where it does not fit a network of so many channels."""
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) not in (1, channels):
                raise InvalidInput(
                    f"{len(numbers)} numbers, where the network has {channels} channels", field=name
                )
        if not np.isfinite([self.scale, *self.mean, *self.std]).all() or 0 in (self.scale, *self.std):
            raise InvalidInput("scale, mean and std must be finite, scale and std not 0", field="std")
        if self.bgr and channels != 3:
            raise InvalidInput("a network of grey pictures has no order of channels", field="channel_order")


def add_nodes(build: GraphBuilder, pixels: str, wanted: Preprocessing, *, channels_first: bool) -> str:
    """The name of the float32 tensor that `pixels`, uint8 [batch, height, width, channels], becomes."""
    tensor = pixels
    if wanted.bgr:
        tensor = build.add("Gather", tensor, build.integers([2, 1, 0]), axis=3)
    tensor = build.add("Cast", tensor, to=TensorProto.FLOAT)
    if wanted.scale != 1:
        tensor = build.add("Mul", tensor, build.floats(wanted.scale))
    if any(wanted.mean):
        tensor = build.add("Sub", tensor, build.floats(wanted.mean))
    if set(wanted.std) != {1}:
        tensor = build.add("Div", tensor, build.floats(wanted.std))
    return build.add("Transpose", tensor, perm=_TO_CHANNELS_FIRST) if channels_first else tensor


def preprocess(
    pixels: NDArray[np.uint8], wanted: Preprocessing, *, channels_first: bool
) -> NDArray[np.float32]:
    """The same in numpy, in float32 too: what a caller of the network alone would feed it."""
    ordered = pixels[..., ::-1] if wanted.bgr else pixels
    scaled = ordered.astype(np.float32) * np.float32(wanted.scale)
    normalised = (scaled - np.array(wanted.mean, np.float32)) / np.array(wanted.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(_TO_CHANNELS_FIRST) if channels_first else normalised)
