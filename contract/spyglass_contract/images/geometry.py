"""Where an image lands in the network's input: the arithmetic of the resize rules, without a pixel."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass.v1.model_pb2 import RESIZE_RULE_CROP, RESIZE_RULE_PAD, InputSpec

# What the JPEG format can decode directly: the discrete cosine transform at 1/8, 1/4, 1/2 of the size.
_JPEG_REDUCTIONS = (8, 4, 2)


Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Frame:
    """Where an upright image lies in the pixels that were decoded of it."""

    # Of the image at full size.
    width: int
    height: int
    # Decoded at 1 / `reduction` of that size.
    reduction: int = 1
    # Where it begins, in decoded pixels. A side that the reduction does not divide is decoded to one pixel
    # more, which lies partly outside: at the end, or at the beginning once the image was turned.
    left: float = 0.0
    top: float = 0.0

    def decoded(self, box: Box) -> Box:
        """A box in pixels of the full image as one in decoded pixels."""
        left, top, right, bottom = (edge / self.reduction for edge in box)
        return self.left + left, self.top + top, self.left + right, self.top + bottom


@dataclass(frozen=True)
class Placement:
    """The part of the upright image that is kept, and the part of the input that it fills.

    Boxes are (left, top, right, bottom): `source` in the image's pixels, fractions allowed, `target` in
    whole pixels of the input.
    """

    source: Box
    target: tuple[int, int, int, int]

    @property
    def target_size(self) -> tuple[int, int]:
        """(width, height) of the part of the input that the image fills."""
        left, top, right, bottom = self.target
        return right - left, bottom - top


def place(width: int, height: int, spec: InputSpec) -> Placement:
    """How an upright image of `width` × `height` pixels goes into the input of `spec`."""
    whole = (0.0, 0.0, float(width), float(height))
    everywhere = (0, 0, spec.width, spec.height)
    if spec.resize == RESIZE_RULE_CROP:
        return Placement(_crop(width, height, spec), everywhere)
    if spec.resize == RESIZE_RULE_PAD:
        return Placement(whole, _pad(width, height, spec))
    return Placement(whole, everywhere)


def input_box(placement: Placement, spec: InputSpec) -> Box:
    """Where the whole input of `spec` lies in the plane of the image, in the image's pixels.

    It leaves out what was cropped; what was padded lies outside of the image.
    """
    left, top, right, bottom = placement.source
    first_column, first_row, end_column, end_row = placement.target
    across = (right - left) / (end_column - first_column)
    down = (bottom - top) / (end_row - first_row)
    return (
        left - first_column * across,
        top - first_row * down,
        right + (spec.width - end_column) * across,
        bottom + (spec.height - end_row) * down,
    )


def jpeg_reduction(placement: Placement, margin: int) -> int:
    """The greatest of 8, 4, 2, 1 that leaves `margin` times the target's size. A margin of 0 means 1.

    Two times the target is enough: the resize that follows averages at least two decoded pixels each way,
    so what the reduced decode has already averaged would have been averaged anyway.
    """
    left, top, right, bottom = placement.source
    width, height = placement.target_size
    if margin == 0:
        return 1
    for reduction in _JPEG_REDUCTIONS:
        if (right - left) / reduction >= margin * width and (bottom - top) / reduction >= margin * height:
            return reduction
    return 1


def _crop(width: int, height: int, spec: InputSpec) -> Box:
    scale = min(width / spec.width, height / spec.height) * (spec.crop_fraction or 1.0)
    kept_width, kept_height = spec.width * scale, spec.height * scale
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    # Rounding must not reach past the image's edge: the resize refuses such a box.
    return max(left, 0.0), max(top, 0.0), min(left + kept_width, width), min(top + kept_height, height)


def _pad(width: int, height: int, spec: InputSpec) -> tuple[int, int, int, int]:
    scale = min(spec.width / width, spec.height / height)
    kept_width = min(max(round(width * scale), 1), spec.width)
    kept_height = min(max(round(height * scale), 1), spec.height)
    left, top = (spec.width - kept_width) // 2, (spec.height - kept_height) // 2
    return left, top, left + kept_width, top + kept_height
