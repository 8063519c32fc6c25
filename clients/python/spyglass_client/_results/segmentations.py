"""Segmentations in responses: the server sends a small PNG of class indices, and the client draws it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec
from spyglass_client._images import ANY_SIZE, upright_image
from spyglass_client._results.classifications import ServedBy, Target, Timing
from spyglass_contract.errors import ImageError, InternalError
from spyglass_contract.heatmaps.overlay import map_to_image
from spyglass_contract.images.decode import decode
from spyglass_contract.images.geometry import Box
from spyglass_contract.images.message import ImageData
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import decode_mask
from spyglass_contract.masks.placement import VOID, mask_over_box
from spyglass_contract.masks.run_lengths import compress_runs, encode_runs
from spyglass_contract.model.class_names import find_class

_GREY = InputSpec(color_mode=COLOR_MODE_GREY)

MaskSize = Literal["image", "model"]
"""The size of a mask: that of the upright image, or that of the network's output."""


@dataclass(frozen=True)
class Refinement:
    """The caller's knowledge of a class, which the server applies to the network's output."""

    target: Target
    # Keep only the largest connected region; the others get the class that is next probable there.
    largest_component: bool = False
    # Add to the class the holes that it encloses.
    fill_holes: bool = False


@dataclass(frozen=True)
class SegmentedClass:
    """One class of the model, and its part of the mask."""

    index: int
    name: str
    pixels: int
    # Of the mask's pixels, in [0, 1].
    fraction: float
    # The mean probability of the class over its own pixels, in [0, 1].
    mean_score: float
    # The colour of the class in drawings, `#rrggbb`.
    color: str

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them, fractions with six decimals."""
        return {
            **asdict(self),
            "fraction": round(self.fraction, 6),
            "mean_score": round(self.mean_score, 6),
        }


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """The class of each pixel of one image."""

    # All classes of the model, each at its index, also those without a pixel.
    classes: tuple[SegmentedClass, ...]
    model: ServedBy
    timing: Timing
    # The id in the request; in a stream the number of the image, from 0.
    id: str = ""
    # The mask, a palette PNG in the colours of the classes: the value of a pixel is the index of its class.
    png: bytes = field(compare=False, repr=False)
    # Height and width of the mask.
    shape: tuple[int, int]
    size: MaskSize = "image"
    # The probability map, an 8-bit grey PNG, and its class; None: the request had no class for it.
    soft_png: bytes | None = field(default=None, compare=False, repr=False)
    soft_class: SegmentedClass | None = None
    # Of the upright image, in pixels.
    width: int
    height: int
    # The box that the network saw, in the image's pixels: left, top, right, bottom. It is smaller than an
    # image that was cropped, and larger than one that was padded. A mask of the network's size covers it
    # evenly.
    box: Box
    # The image that was sent: a file, or upright pixels.
    image: ImageData = field(compare=False, repr=False)
    error: ClassVar[None] = None

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        """uint8 [height, width]: the index of each pixel's class, 255 if the network did not see the pixel.

        Raises InternalError if the PNG cannot be decoded.
        """
        try:
            return decode_mask(self.png)
        except ImageError as error:
            raise _corrupt("mask") from error

    @cached_property
    def soft(self) -> NDArray[np.uint8] | None:
        """uint8 [height, width]: the probability map, 255 times the probability of `soft_class`; or None.

        Raises InternalError if the PNG cannot be decoded.
        """
        if self.soft_png is None:
            return None
        try:
            return np.asarray(decode(self.soft_png, ANY_SIZE, _GREY)[0])
        except ImageError as error:
            raise _corrupt("probability map") from error

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, at its index."""
        return tuple(entry.name for entry in self.classes)

    def of(self, target: Target) -> NDArray[np.bool_]:
        """Return the mask of one class, bool [height, width]. Raises InvalidInput for an unknown class."""
        mine: NDArray[np.bool_] = self.array == self._class(target).index
        return mine

    def overlay(self) -> Image.Image:
        """Return the upright image, in RGB, with the classes, their borders and a legend drawn over it.

        Raises InternalError if the mask cannot be drawn over the image.
        """
        # First check the size in the response, before memory of that size is taken.
        image, values = self._upright(), self.array
        if self.size == "model":
            values = mask_over_box(values, self.box, self.width, self.height, outside=VOID)
        colors = [_levels(entry.color) for entry in self.classes]
        return draw_mask(image, values, self.class_names, colors)

    def cutout(self, target: Target) -> Image.Image:
        """Return the upright image, in RGBA, in which everything but one class is transparent.

        The opacity is the probability map if it is of that class, else the mask. Raises InvalidInput for an
        unknown class, and InternalError if the mask cannot be drawn over the image.
        """
        entry = self._class(target)
        whole = self._upright()
        opacity = Image.fromarray(self._opacity(entry))
        whole.putalpha(opacity)
        cutout = Image.new("RGBA", whole.size)
        cutout.paste(whole, mask=opacity.point([0] + [255] * 255))
        return cutout

    def coco(self, target: Target) -> dict[str, Any]:
        """Return one class as COCO run lengths: `{"size": [height, width], "counts": bytes in ASCII}`.

        Raises InvalidInput for an unknown class. `mask_from_coco` is the inverse.
        """
        mine = self.of(target)
        _, runs = encode_runs(mine.view(np.uint8), 2)
        return {"size": list(mine.shape), "counts": compress_runs(runs)}

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it, without pixels: the classes in the mask, and the mask's size."""
        height, width = self.shape
        return {
            "model": self.model.to_dict(),
            "classes": [entry.to_dict() for entry in self.classes if entry.pixels],
            "mask": {"width": width, "height": height},
            "timing_ms": self.timing.to_dict(),
            **self.timing.origin(),
        }

    def _upright(self) -> Image.Image:
        """Return the image in RGB. Raises InternalError if the response is about another image."""
        return upright_image(self.image, self.width, self.height)

    def _class(self, target: Target) -> SegmentedClass:
        """Raise InvalidInput if no class, or several, have this index or name."""
        return self.classes[find_class(target, self.class_names)]

    def _opacity(self, entry: SegmentedClass) -> NDArray[np.uint8]:
        """Return the opacity of one class over the image, uint8 [height, width]."""
        soft = self.soft if self.soft_class == entry else None
        levels = self.of(entry.index) * np.uint8(255) if soft is None else soft
        if self.size == "image":
            return levels
        if soft is None:
            return mask_over_box(levels, self.box, self.width, self.height, outside=0)
        spread = map_to_image(soft.astype(np.float32), self.box, self.width, self.height)
        return np.rint(spread).astype(np.uint8)


def _corrupt(part: str) -> InternalError:
    return InternalError(f"the {part} in the response is corrupt", reason="REPLY_INVALID")


def _levels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of `#rrggbb`."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
