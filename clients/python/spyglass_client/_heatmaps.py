"""Heatmaps as they come back: what travels is the network's own few cells, and images are drawn here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.heatmap_pb2 import HeatmapData, HeatmapRequest, HeatmapResponse
from spyglass_client._images import sent_image, upright_image
from spyglass_client._results import Classification, ClassScore, read_classification, read_score
from spyglass_contract.heatmaps.overlay import draw_overlay, map_to_image
from spyglass_contract.images.geometry import Box


@dataclass(frozen=True, kw_only=True)
class Heatmap(Classification):
    """A classification that also shows where in the image the network saw a class."""

    # The class that is explained: the predicted one where no other was asked for.
    target: ClassScore
    # float32 [rows, columns] in [0, 1], as the network computed it, often 7 × 7.
    feature_map: NDArray[np.float32] = field(compare=False, repr=False)
    # The name of that feature map in the network.
    layer: str
    # Of the upright image, in pixels.
    width: int
    height: int
    # What the feature map covers, in the image's pixels: left, top, right, bottom. It leaves out what was
    # cropped, and reaches beyond an image that was padded.
    box: Box
    # As it was sent: a file, or upright pixels.
    image: bytes | NDArray[np.uint8] = field(compare=False, repr=False)
    # The other classes that were asked for, in that order.
    further: tuple[Heatmap, ...] = ()

    @property
    def all_zero(self) -> bool:
        """Nothing in the image speaks for the class."""
        return not self.feature_map.any()

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """float32 [height, width] in [0, 1], of the upright image's size: four bytes for each pixel.

        Interpolated bilinearly; 0 where the network did not look.
        """
        return map_to_image(self.feature_map, self.box, self.width, self.height)

    def overlay(self) -> Image.Image:
        """The upright image, in RGB, with the map over it in the jet colours at 40 %.

        Raises InternalError where the reply is about another image.
        """
        # First of all, before anything of the size that the server states is made.
        image = upright_image(self.image, self.width, self.height)
        return draw_overlay(image, map_to_image(self.feature_map, self.box, self.width, self.height))

    @property
    def explained(self) -> tuple[Heatmap, ...]:
        """This one and the further ones."""
        return (self, *self.further)

    def to_dict(self) -> dict[str, Any]:
        """As a classification, with `layer` and, for each class that was asked for, its `heatmaps`."""
        heatmaps = [{"target": each.target.to_dict(), "all_zero": each.all_zero} for each in self.explained]
        return {**super().to_dict(), "layer": self.layer, "heatmaps": heatmaps}


def read_heatmap(request: HeatmapRequest, reply: HeatmapResponse) -> Heatmap:
    """The answer in a reply, of the feature map's size, that holds no error."""
    answer, frame = read_classification(reply), reply.frame
    first = Heatmap(
        classes=answer.classes,
        model=answer.model,
        timing=answer.timing,
        id=answer.id,
        target=read_score(reply.target),
        feature_map=_read_map(reply.heatmap),
        layer=reply.layer,
        width=frame.image_width,
        height=frame.image_height,
        box=(frame.left, frame.top, frame.right, frame.bottom),
        image=sent_image(request.image),
    )
    further = tuple(
        replace(first, target=read_score(each.target), feature_map=_read_map(each.heatmap))
        for each in reply.further
    )
    return replace(first, further=further)


def _read_map(heatmap: HeatmapData) -> NDArray[np.float32]:
    return np.frombuffer(heatmap.data, "<f4").reshape(heatmap.height, heatmap.width)
