"""Heatmaps in the form that a request asks for."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
    HeatmapFormat,
    MapSize,
)
from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.decode import decode, from_array
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.geometry import Box, input_box
from spyglass_contract.header import Limits
from spyglass_contract.heatmaps import draw_overlay, grey_levels, map_to_picture, map_to_size
from spyglass_contract.pixels import Prepared
from spyglass_server.domain import DrawnMap

# Of all maps of one request together, as many as Full HD has: 8 MB as float32. What is drawn but not yet
# sent is held in memory for every request inside.
MAX_MAP_PIXELS = 2 * 1024 * 1024

# zlib's fastest: on photographs it takes a fifth of the default's time for a tenth more bytes.
_PNG_EFFORT = 1


@dataclass(frozen=True)
class Drawing:
    """What is wanted of a heatmap: by itself the network's own numbers."""

    format: HeatmapFormat.ValueType = HEATMAP_FORMAT_FLOAT32
    size: MapSize.ValueType = MAP_SIZE_AS_FEATURE_MAP

    def __post_init__(self) -> None:
        if self.format not in HeatmapFormat.values():
            raise InvalidInput(f"there is no heatmap format {self.format}", field="format")
        if self.size not in MapSize.values():
            raise InvalidInput(f"there is no map size {self.size}", field="size")
        if self.format == HEATMAP_FORMAT_PNG_OVERLAY and self.size == MAP_SIZE_AS_FEATURE_MAP:
            raise InvalidInput("an overlay is drawn AS_IMAGE or AS_MODEL", field="size")


def check_room(prepared: Prepared, drawing: Drawing, maps: int) -> None:
    """Raises LimitExceeded where so many maps of the size that is asked for would be too much."""
    sizes = {
        MAP_SIZE_AS_IMAGE: prepared.width * prepared.height,
        MAP_SIZE_AS_MODEL: prepared.pixels.shape[0] * prepared.pixels.shape[1],
    }
    pixels = maps * sizes.get(drawing.size, 0)
    if pixels > MAX_MAP_PIXELS:
        raise LimitExceeded(
            f"the maps would have {pixels:,} pixels, more than {MAX_MAP_PIXELS:,}; ask for AS_FEATURE_MAP "
            "and lay it over the box in the reply, as the client library does",
            reason="MAP_TOO_LARGE",
            field="size",
        )


class Canvas:
    """One prepared picture, and the maps that are drawn of it or over it."""

    def __init__(
        self,
        picture: bytes | NDArray[np.uint8],
        prepared: Prepared,
        spec: InputSpec,
        limits: Limits,
    ) -> None:
        """`prepared` is what `spec` made of `picture`."""
        self._picture = picture
        self._limits = limits
        self._input = prepared.pixels
        self.width, self.height = prepared.width, prepared.height
        self.box: Box = input_box(prepared.placement, spec)

    def draw(self, values: NDArray[np.float32], drawing: Drawing) -> DrawnMap:
        """A map of the feature map's size, float32 [rows, columns] in [0, 1], as `drawing` wants it."""
        sized = self._sized(values, drawing.size)
        height, width = sized.shape
        if drawing.format == HEATMAP_FORMAT_FLOAT32:
            data = sized.astype("<f4", copy=False).tobytes()
        elif drawing.format == HEATMAP_FORMAT_PNG_GRAY:
            data = png_bytes(Image.fromarray(grey_levels(sized)))
        else:
            background = self.upright if drawing.size == MAP_SIZE_AS_IMAGE else self.seen
            data = png_bytes(draw_overlay(background, sized))
        return DrawnMap(height, width, drawing.format, data, all_zero=not values.any())

    def _sized(self, values: NDArray[np.float32], size: MapSize.ValueType) -> NDArray[np.float32]:
        if size == MAP_SIZE_AS_IMAGE:
            return map_to_picture(values, self.box, self.width, self.height)
        if size == MAP_SIZE_AS_MODEL:
            height, width, _ = self._input.shape
            return map_to_size(values, width, height)
        return values

    @cached_property
    def upright(self) -> Image.Image:
        """The picture at full size, in RGB, whatever the model takes."""
        if isinstance(self._picture, np.ndarray):
            return from_array(self._picture, self._limits)
        return decode(self._picture, self._limits)[0]

    @cached_property
    def seen(self) -> Image.Image:
        """The network's input."""
        return from_array(self._input, self._limits)


def png_bytes(image: Image.Image) -> bytes:
    """A PNG of a picture or a map, made fast."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_PNG_EFFORT)
    return buffer.getvalue()
