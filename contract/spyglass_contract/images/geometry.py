"""The place of an image in the network's input: the arithmetic of the resize rules. No pixels here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spyglass.v1.model_pb2 import (
    RESIZE_RULE_CROP,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ResizeRule,
)
from spyglass_contract.images.input_spec import unknown_value

# JPEG's discrete cosine transform can decode directly at 1/8, 1/4 and 1/2 of the size.
_JPEG_REDUCTIONS = (8, 4, 2)

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels, fractions allowed."""


@dataclass(frozen=True)
class Frame:
    """The place of an upright image in its decoded pixels."""

    # The size of the full image, in pixels.
    width: int
    height: int
    # The image is decoded at 1 / `reduction` of that size.
    reduction: int = 1
    # The decoded pixel at which the image begins. A side that the reduction does not divide is decoded to one
    # pixel more, part of which lies outside the image: at the end, or, if the image was turned, at the
    # beginning.
    left: float = 0.0
    top: float = 0.0

    def decoded(self, box: Box) -> Box:
        """Convert a box in pixels of the full image to decoded pixels."""
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
    """Return the place of an upright image of `width` × `height` pixels in the input of `spec`.

    Raises CardError for an unknown resize rule.
    """
    if spec.resize not in RESIZE_RULES:
        raise unknown_value(spec, "resize", RESIZE_RULES)
    return RESIZE_RULES[spec.resize](width, height, spec)


def input_box(placement: Placement, spec: InputSpec) -> Box:
    """Return the box that the whole input of `spec` covers in the plane of the image, in the image's pixels.

    Cropped parts of the image lie outside the box; padding lies inside the box and outside the image.
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
    """Return the greatest of 8, 4, 2 and 1 that leaves `margin` times the target's size; 1 if `margin` is 0.

    Two times the target is enough: the resize that follows averages at least two decoded pixels each way,
    so it would have averaged in any case what the reduced decode has already averaged.
    """
    left, top, right, bottom = placement.source
    width, height = placement.target_size
    if margin == 0:
        return 1
    for reduction in _JPEG_REDUCTIONS:
        if (right - left) / reduction >= margin * width and (bottom - top) / reduction >= margin * height:
            return reduction
    return 1


def _stretch(width: int, height: int, spec: InputSpec) -> Placement:
    return Placement((0.0, 0.0, float(width), float(height)), (0, 0, spec.width, spec.height))


def _crop(width: int, height: int, spec: InputSpec) -> Placement:
    scale = min(width / spec.width, height / spec.height) * (spec.crop_fraction or 1.0)
    kept_width, kept_height = spec.width * scale, spec.height * scale
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    # Rounding must not reach past the image's edge: Pillow's resize rejects such a box.
    source = max(left, 0.0), max(top, 0.0), min(left + kept_width, width), min(top + kept_height, height)
    return Placement(source, (0, 0, spec.width, spec.height))


def _pad(width: int, height: int, spec: InputSpec) -> Placement:
    scale = min(spec.width / width, spec.height / height)
    kept_width = min(max(round(width * scale), 1), spec.width)
    kept_height = min(max(round(height * scale), 1), spec.height)
    left, top = (spec.width - kept_width) // 2, (spec.height - kept_height) // 2
    source = (0.0, 0.0, float(width), float(height))
    return Placement(source, (left, top, left + kept_width, top + kept_height))


RESIZE_RULES: dict[ResizeRule.ValueType, Callable[[int, int, InputSpec], Placement]] = {
    RESIZE_RULE_STRETCH: _stretch,
    RESIZE_RULE_CROP: _crop,
    RESIZE_RULE_PAD: _pad,
}
"""The function of each resize rule: width and height of the image, and the input, to a placement."""
