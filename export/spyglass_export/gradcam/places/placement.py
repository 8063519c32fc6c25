"""The places of one tensor, and the nodes that bring it to [rows, height, width, channels]."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.layout import Layout
from spyglass_export.gradcam.places.arrangement import Arrangement
from spyglass_export.gradcam.sizes import Sized


@dataclass(frozen=True)
class Placement:
    """A tensor whose numbers lie at the places of a regular grid over the image.

    `height` and `width` are the numbers of places, in the orientation of the image. If the sizes of the
    network's input are free, they are those for one assumed size, and `layout` is set. `channels` counts the
    numbers at each place: those of all axes that do not vary with the place, such as heads and numbers.
    `of_pixels` says that the grid is still that of the pixels: no operator with weights came before.
    `layout` is set if the tensor is [batch, channels, height, width] or [batch, height, width, channels] in
    the order of the image.
    """

    height: int
    width: int
    channels: int
    of_pixels: bool
    layout: Layout | None
    arrangement: Arrangement

    def arranged(self, build: GraphBuilder, tensor: Sized) -> Sized:
        """Add nodes that bring the tensor to [rows, height, width, channels] in the order of the image.

        `tensor` is the tensor itself or a gradient of the same shape, which has rows in the place of the
        batch. The result leaves out the numbers of no place, such as class tokens. It works for any batch.
        """
        return self.arrangement.apply(build, tensor)
