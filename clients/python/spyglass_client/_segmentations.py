"""Segmentations as they come back: what travels is a small PNG of indices, and images are drawn here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, InputSpec
from spyglass_client._images import ANY_SIZE, upright_image
from spyglass_client._results import AnsweringModel, Target, Timing
from spyglass_contract.errors import ImageError, InternalError
from spyglass_contract.heatmaps.overlay import map_to_image
from spyglass_contract.images.decode import decode
from spyglass_contract.images.geometry import Box
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import decode_mask
from spyglass_contract.masks.placement import VOID, mask_over_box
from spyglass_contract.masks.run_lengths import compress_runs, encode_runs
from spyglass_contract.model.class_names import find_class

_GREY = InputSpec(color_mode=COLOR_MODE_GREY)

MaskSize = Literal["image", "model"]
"""The size of a mask: the upright image's own, or that of the network's output."""


@dataclass(frozen=True)
class Refinement:
    """What is known of a class beforehand, for the server to apply at the network's own size."""

    target: Target
    # Only the largest connected region stays; the others go to the class that is next probable there.
    largest_component: bool = False
    # What the class encloses becomes the class.
    fill_holes: bool = False


@dataclass(frozen=True)
class SegmentedClass:
    """One class of the model, and what of the mask is its own."""

    index: int
    name: str
    pixels: int
    # Of the mask's pixels, in [0, 1].
    fraction: float
    # The mean probability of the class over its own pixels, in [0, 1].
    mean_score: float
    # As it is drawn, `#rrggbb`.
    color: str

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it, shares to six decimals."""
        return {
            **asdict(self),
            "fraction": round(self.fraction, 6),
            "mean_score": round(self.mean_score, 6),
        }


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Which class each pixel of one image belongs to."""

    # All classes of the model, those that the image does not show included; each is at its index.
    classes: tuple[SegmentedClass, ...]
    model: AnsweringModel
    timing: Timing
    # As the request gave it; where many are asked about at once the image's number, from 0.
    id: str = ""
    # The mask as it came, a palette PNG in the colours of the classes: the value of a pixel is the class.
    png: bytes = field(compare=False, repr=False)
    # Height and width of the mask.
    shape: tuple[int, int]
    size: MaskSize = "image"
    # The soft map as it came, an 8-bit grey PNG, and the class that it is of; None: none was asked for.
    soft_png: bytes | None = field(default=None, compare=False, repr=False)
    soft_class: SegmentedClass | None = None
    # Of the upright image, in pixels.
    width: int
    height: int
    # What the network looked at, in the image's pixels: left, top, right, bottom. It leaves out what was
    # cropped, and reaches beyond an image that was padded. A mask of the network's size covers it evenly.
    box: Box
    # As it was sent: a file, or upright pixels.
    image: bytes | NDArray[np.uint8] = field(compare=False, repr=False)
    error: ClassVar[None] = None

    @cached_property
    def array(self) -> NDArray[np.uint8]:
        """uint8 [height, width]: the index of each pixel's class, and 255 where the network did not look.

        Raises InternalError where what came cannot be decoded.
        """
        try:
            return decode_mask(self.png)
        except ImageError as error:
            raise _corrupt("mask") from error

    @cached_property
    def soft(self) -> NDArray[np.uint8] | None:
        """uint8 [height, width]: 255 times the probability of the class that a soft map was asked for.

        None where none was. Raises InternalError where what came cannot be decoded.
        """
        if self.soft_png is None:
            return None
        try:
            return np.asarray(decode(self.soft_png, ANY_SIZE, _GREY)[0])
        except ImageError as error:
            raise _corrupt("soft map") from error

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, at its index."""
        return tuple(entry.name for entry in self.classes)

    def of(self, target: Target) -> NDArray[np.bool_]:
        """bool [height, width]: where one class is. Raises InvalidInput for a class that there is not."""
        mine: NDArray[np.bool_] = self.array == self._class(target).index
        return mine

    def overlay(self) -> Image.Image:
        """The upright image, in RGB, with the classes drawn over it, their borders and a legend.

        Raises InternalError where what came cannot be drawn over the image.
        """
        # First of all, before anything of the size that the server states is made.
        image, values = self._upright(), self.array
        if self.size == "model":
            values = mask_over_box(values, self.box, self.width, self.height, outside=VOID)
        colors = [_levels(entry.color) for entry in self.classes]
        return draw_mask(image, values, self.class_names, colors)

    def cutout(self, target: Target) -> Image.Image:
        """The upright image, in RGBA, with nothing in it but one class.

        Where a soft map of that class was asked for it is the opacity; else each pixel is there or is not.
        Raises InvalidInput for a class that there is not, and InternalError as `overlay` does.
        """
        entry = self._class(target)
        whole = self._upright()
        opacity = Image.fromarray(self._opacity(entry))
        whole.putalpha(opacity)
        cutout = Image.new("RGBA", whole.size)
        cutout.paste(whole, mask=opacity.point([0] + [255] * 255))
        return cutout

    def coco(self, target: Target) -> dict[str, Any]:
        """One class as pycocotools takes it: `{"size": [height, width], "counts": run lengths in ASCII}`.

        Raises InvalidInput for a class that there is not.
        """
        mine = self.of(target)
        _, runs = encode_runs(mine.view(np.uint8), 2)
        return {"size": list(mine.shape), "counts": compress_runs(runs)}

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON has it, without the pixels: the classes that occur, and the mask's size."""
        height, width = self.shape
        return {
            "model": self.model.to_dict(),
            "classes": [entry.to_dict() for entry in self.classes if entry.pixels],
            "mask": {"width": width, "height": height},
            "timing_ms": self.timing.to_dict(),
        }

    def _upright(self) -> Image.Image:
        """The image, in RGB. Raises InternalError where the reply is about another one."""
        return upright_image(self.image, self.width, self.height)

    def _class(self, target: Target) -> SegmentedClass:
        """Raises InvalidInput for no class, or several."""
        return self.classes[find_class(target, self.class_names)]

    def _opacity(self, entry: SegmentedClass) -> NDArray[np.uint8]:
        """Of one class, 0 to 255, over the image."""
        soft = self.soft if self.soft_class == entry else None
        levels = self.of(entry.index) * np.uint8(255) if soft is None else soft
        if self.size == "image":
            return levels
        if soft is None:
            return mask_over_box(levels, self.box, self.width, self.height, outside=0)
        spread = map_to_image(soft.astype(np.float32), self.box, self.width, self.height)
        return np.rint(spread).astype(np.uint8)


def _corrupt(what: str) -> InternalError:
    return InternalError(f"the {what} in the server's reply is corrupt", reason="REPLY_INVALID")


def _levels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of `#rrggbb`."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
