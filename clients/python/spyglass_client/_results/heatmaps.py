"""Heatmaps in responses: the server sends the few cells of the feature map, and the client draws them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.heatmap_pb2 import HeatmapData, HeatmapRequest, HeatmapResponse
from spyglass_client._images import upright_image
from spyglass_client._results.classifications import (
    Classification,
    ClassScore,
    read_classification,
    read_score,
)
from spyglass_contract.heatmaps.overlay import draw_overlay, map_to_image
from spyglass_contract.images.geometry import Box
from spyglass_contract.images.message import ImageData, image_data


@dataclass(frozen=True, kw_only=True)
class Heatmap(Classification):
    """A classification that also shows where in the image the network saw a class."""

    # The explained class: the requested one, or the predicted one.
    target: ClassScore
    # float32 [rows, columns] in [0, 1], as the network computed it, often 7 × 7.
    feature_map: NDArray[np.float32] = field(compare=False, repr=False)
    # The name of that feature map in the network.
    layer: str
    # Of the upright image, in pixels.
    width: int
    height: int
    # The box that the feature map covers, in the image's pixels: left, top, right, bottom. It is smaller than
    # an image that was cropped, and larger than one that was padded.
    box: Box
    # The image that was sent: a file, or upright pixels.
    image: ImageData = field(compare=False, repr=False)
    # The further classes of the request, in their order.
    further: tuple[Heatmap, ...] = ()

    @property
    def all_zero(self) -> bool:
        """True if no part of the image supports the class: every value is 0."""
        return not self.feature_map.any()

    @cached_property
    def map(self) -> NDArray[np.float32]:
        """float32 [height, width] in [0, 1], of the upright image's size: four bytes for each pixel.

        Interpolated bilinearly; 0 where the network did not look.
        """
        return map_to_image(self.feature_map, self.box, self.width, self.height)

    def overlay(self) -> Image.Image:
        """The upright image, in RGB, with the map over it in the jet colours at 40 %.

        Raises InternalError if the response is about another image.
        """
        # First check the size in the response, before memory of that size is taken.
        image = upright_image(self.image, self.width, self.height)
        return draw_overlay(image, map_to_image(self.feature_map, self.box, self.width, self.height))

    @property
    def explained(self) -> tuple[Heatmap, ...]:
        """This heatmap and the further ones."""
        return (self, *self.further)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of a classification, `layer`, and `heatmaps` with an entry for each class."""
        heatmaps = [{"target": each.target.to_dict(), "all_zero": each.all_zero} for each in self.explained]
        return {**super().to_dict(), "layer": self.layer, "heatmaps": heatmaps}


def read_heatmap(request: HeatmapRequest, reply: HeatmapResponse) -> Heatmap:
    """Return the heatmap in a response without an error, whose maps have the feature map's size."""
    classification, frame = read_classification(reply), reply.frame
    first = Heatmap(
        classes=classification.classes,
        model=classification.model,
        timing=classification.timing,
        id=classification.id,
        target=read_score(reply.target),
        feature_map=_read_map(reply.heatmap),
        layer=reply.layer,
        width=frame.image_width,
        height=frame.image_height,
        box=(frame.left, frame.top, frame.right, frame.bottom),
        image=image_data(request.image),
    )
    further = tuple(
        replace(first, target=read_score(each.target), feature_map=_read_map(each.heatmap))
        for each in reply.further
    )
    return replace(first, further=further)


def _read_map(heatmap: HeatmapData) -> NDArray[np.float32]:
    return np.frombuffer(heatmap.data, "<f4").reshape(heatmap.height, heatmap.width)
