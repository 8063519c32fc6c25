"""Heatmaps in the form that a request asks for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_OVERLAY,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
    HeatmapFormat,
    MapSize,
)
from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.heatmaps.overlay import draw_overlay, grey_levels, map_to_image, map_to_size
from spyglass_contract.images.decode import decode, from_array
from spyglass_contract.images.geometry import Box, input_box
from spyglass_contract.images.header import Limits
from spyglass_contract.images.pixels import Prepared
from spyglass_server.domain import DrawnMap

# Of all maps of one request together, as many as Full HD has: 8 MB as float32.
MAX_MAP_PIXELS = 2 * 1024 * 1024
# The same of PNGs of the image's size, as many as a large photograph has. They are drawn strip by strip: an
# overlay takes 9 bytes a pixel while it is made, the image included, and a grey map 1.
MAX_PNG_PIXELS = 16 * 1024 * 1024
# Of all maps of one reply, as they travel. They are held in memory until they are sent, for every request
# inside: a gigabyte for the 64 of a small server.
MAX_REPLY_BYTES = 16 * 1024 * 1024

# Of the strips that large maps are drawn in: a megabyte or so of float32.
_STRIP_PIXELS = 256 * 1024

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
    packed = drawing.size == MAP_SIZE_AS_IMAGE and drawing.format != HEATMAP_FORMAT_FLOAT32
    limit = MAX_PNG_PIXELS if packed else MAX_MAP_PIXELS
    if pixels > limit:
        raise _too_large(f"{pixels:,} pixels, more than {limit:,}")


def _too_large(how_large: str) -> LimitExceeded:
    return LimitExceeded(
        f"the maps would have {how_large}; ask for AS_FEATURE_MAP and lay it over the box in the reply, as "
        "the client library does",
        reason="MAP_TOO_LARGE",
        field="size",
    )


class Canvas:
    """One prepared image, and the maps that are drawn of it or over it."""

    def __init__(
        self,
        image: bytes | NDArray[np.uint8],
        prepared: Prepared,
        spec: InputSpec,
        limits: Limits,
    ) -> None:
        """`prepared` is what `spec` made of `image`."""
        self._image = image
        self._limits = limits
        self._input = prepared.pixels
        self.width, self.height = prepared.width, prepared.height
        self.box: Box = input_box(prepared.placement, spec)
        self._drawn_bytes = 0

    def draw(self, values: NDArray[np.float32], drawing: Drawing) -> DrawnMap:
        """A map of the feature map's size, float32 [rows, columns] in [0, 1], as `drawing` wants it.

        Raises LimitExceeded where the maps drawn so far are more than one reply may hold.
        """
        if drawing.format == HEATMAP_FORMAT_FLOAT32:
            sized = self._sized(values, drawing.size)
            (height, width), data = sized.shape, sized.astype("<f4", copy=False).tobytes()
        else:
            image = self._image_of(values, drawing)
            height, width, data = image.height, image.width, png_bytes(image)
        self._drawn_bytes += len(data)
        if self._drawn_bytes > MAX_REPLY_BYTES:
            raise _too_large(f"{self._drawn_bytes:,} bytes as PNG, more than {MAX_REPLY_BYTES:,}")
        return DrawnMap(height, width, drawing.format, data, all_zero=not values.any())

    def _image_of(self, values: NDArray[np.float32], drawing: Drawing) -> Image.Image:
        overlay = drawing.format == HEATMAP_FORMAT_PNG_OVERLAY
        if drawing.size == MAP_SIZE_AS_IMAGE:
            return self._over_image(values) if overlay else self._grey_image(values)
        sized = self._sized(values, drawing.size)
        return draw_overlay(self.seen, sized) if overlay else Image.fromarray(grey_levels(sized))

    def _grey_image(self, values: NDArray[np.float32]) -> Image.Image:
        levels = np.empty((self.height, self.width), np.uint8)
        for top, strip in self._strips(values):
            levels[top : top + len(strip)] = grey_levels(strip)
        return Image.fromarray(levels)

    def _over_image(self, values: NDArray[np.float32]) -> Image.Image:
        drawn = Image.new("RGB", (self.width, self.height))
        for top, strip in self._strips(values):
            below = self.upright.crop((0, top, self.width, top + len(strip)))
            drawn.paste(draw_overlay(below, strip), (0, top))
        return drawn

    def _strips(self, values: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The map of the image's size by some rows at a time, with the first one's number."""
        left, box_top, right, bottom = self.box
        rows = max(1, _STRIP_PIXELS // self.width)
        for top in range(0, self.height, rows):
            box = (left, box_top - top, right, bottom - top)
            yield top, map_to_image(values, box, self.width, min(rows, self.height - top))

    def _sized(self, values: NDArray[np.float32], size: MapSize.ValueType) -> NDArray[np.float32]:
        if size == MAP_SIZE_AS_IMAGE:
            return map_to_image(values, self.box, self.width, self.height)
        if size == MAP_SIZE_AS_MODEL:
            height, width, _ = self._input.shape
            return map_to_size(values, width, height)
        return values

    @cached_property
    def upright(self) -> Image.Image:
        """The image at full size, in RGB, whatever the model takes."""
        if isinstance(self._image, np.ndarray):
            return from_array(self._image, self._limits)
        return decode(self._image, self._limits)[0]

    @cached_property
    def seen(self) -> Image.Image:
        """The network's input."""
        return from_array(self._input, self._limits)


def png_bytes(image: Image.Image) -> bytes:
    """A PNG of an image or a map, made fast."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=_PNG_EFFORT)
    return buffer.getvalue()
