"""Grad-CAM of one tensor by torch's autograd, in the precision of the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.recording import Recording

# Class and register tokens before the places.
_MOST_OTHER_TOKENS = 10


@dataclass(frozen=True)
class Arrangement:
    """How a tensor of torch holds the places of an image.

    `form` names the axes behind the batch: `chw`, `hwc`, `tc` or `ct` for tokens row by row, of which the
    first `skipped` are no places, or `windows` for [windows, tokens or height and width of one, channels].
    """

    form: str
    height: int
    width: int
    skipped: int = 0

    def arranged(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the tensor of one image as [height, width, channels]."""
        if self.form == "windows":
            return self._windows(tensor)
        values = tensor.reshape(tensor.shape[1:])
        if self.form in ("chw", "ct"):
            values = values.movedim(0, -1)
        if self.form in ("tc", "ct"):
            values = values[self.skipped :].reshape(self.height, self.width, -1)
        return values

    def _windows(self, tensor: torch.Tensor) -> torch.Tensor:
        count, channels = tensor.shape[0], tensor.shape[-1]
        side = round((self.height * self.width / count) ** 0.5)
        rows, columns = self.height // side, self.width // side
        split = tensor.reshape(rows, columns, side, side, channels)
        return split.permute(0, 2, 1, 3, 4).reshape(self.height, self.width, channels)


def arrangements(shape: tuple[int, ...], height: int, width: int) -> Iterator[Arrangement]:
    """Yield the possible arrangements of a tensor of one image, the most usual one first."""
    places = height * width
    if len(shape) == 4 and shape[0] == 1:
        if shape[2:] == (height, width):
            yield Arrangement("chw", height, width)
        if shape[1:3] == (height, width):
            yield Arrangement("hwc", height, width)
    if len(shape) == 3 and shape[0] == 1:
        for form, tokens in (("tc", shape[1]), ("ct", shape[2])):
            if 0 <= tokens - places <= _MOST_OTHER_TOKENS:
                yield Arrangement(form, height, width, tokens - places)
    if len(shape) in (3, 4) and shape[0] > 1 and places == int(np.prod(shape[:-1])):
        side = round((places / shape[0]) ** 0.5)
        if side * side * shape[0] == places and height % side == width % side == 0:
            yield Arrangement("windows", height, width)


def gradcam(
    recording: Recording, index: int, arrangement: Arrangement, class_index: int
) -> NDArray[np.float64]:
    """Return relu(mean over k of A_k · mean over x, y of ∂score/∂A_k) over its maximum, [height, width].

    Selvaraju et al. 2017. The maximum is at least 1e-12, as in the files.
    """
    values = arrangement.arranged(recording.tensors[index].detach())
    gradient = arrangement.arranged(recording.gradient(index, class_index))
    raw = (values * gradient.mean((0, 1))).mean(-1).relu()
    scaled: NDArray[np.float64] = (raw / raw.max().clamp(min=1e-12)).double().numpy()
    return scaled


def own_grid(shape: tuple[int, ...]) -> Arrangement | None:
    """Return the arrangement of a tensor by its shape alone: tokens of a square grid, or channels first."""
    if len(shape) == 4:
        return Arrangement("chw", shape[2], shape[3])
    if len(shape) != 3:
        return None
    side = math.isqrt(shape[1])
    return Arrangement("tc", side, side, shape[1] - side * side)


def joined_gradcam(
    recording: Recording,
    parts: Sequence[tuple[int, Arrangement]],
    class_index: int,
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Return the positive sum of the maps of several tensors, interpolated to `size`, over its maximum."""
    raw = torch.zeros(size, dtype=torch.float64)
    for index, arrangement in parts:
        values = arrangement.arranged(recording.tensors[index].detach()).movedim(-1, 0)[None]
        gradient = arrangement.arranged(recording.gradient(index, class_index))
        fine = torch.nn.functional.interpolate(values, size, mode="bilinear", align_corners=False)[0]
        raw += (fine * gradient.sum((0, 1))[:, None, None]).sum(0)
    positive = raw.relu()
    scaled: NDArray[np.float64] = (positive / positive.max().clamp(min=1e-12)).numpy()
    return scaled
