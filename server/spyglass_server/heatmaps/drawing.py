"""Heatmaps in the format and size of a request."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.heatmap_pb2 import (
    HEATMAP_FORMAT_FLOAT32,
    HEATMAP_FORMAT_PNG_GRAY,
    HEATMAP_FORMAT_PNG_OVERLAY,
    HEATMAP_FORMAT_UNSPECIFIED,
    MAP_SIZE_AS_FEATURE_MAP,
    MAP_SIZE_AS_IMAGE,
    MAP_SIZE_AS_MODEL,
    MAP_SIZE_UNSPECIFIED,
    HeatmapData,
    HeatmapFormat,
    HeatmapRequest,
    MapSize,
)
from spyglass_contract.errors import InvalidInput, LimitExceeded
from spyglass_contract.heatmaps.overlay import draw_overlay, grey_levels, map_to_image, map_to_size
from spyglass_contract.images.pixels import Prepared
from spyglass_server.engine.canvas import Canvas, png_bytes
from spyglass_server.engine.limits import limit_hint, reply_limit

# Of all maps of one request together, as many as Full HD has: 8 MB as float32.
MAX_MAP_PIXELS = 2 * 1024 * 1024
# The same for PNGs of the image's size, as many as a large photograph has. They are drawn in strips: while it
# is made, an overlay takes 9 bytes a pixel, the image included, and a grey map 1.
MAX_PNG_PIXELS = 16 * 1024 * 1024

# Pixels of one strip: about a megabyte of float32.
_STRIP_PIXELS = 256 * 1024

_FORMATS = (HEATMAP_FORMAT_FLOAT32, HEATMAP_FORMAT_PNG_GRAY, HEATMAP_FORMAT_PNG_OVERLAY)
_SIZES = (MAP_SIZE_AS_IMAGE, MAP_SIZE_AS_MODEL, MAP_SIZE_AS_FEATURE_MAP)


@dataclass(frozen=True)
class Drawing:
    """The format and the size of the maps of one request. Raises InvalidInput for unknown ones."""

    format: HeatmapFormat.ValueType
    size: MapSize.ValueType
    # Whether the request states one of them, and does not leave both to the server.
    named: bool = True

    @classmethod
    def from_request(cls, request: HeatmapRequest) -> Self:
        """Return what the request states, completed: float32 of the feature map's size is the default."""
        chosen = request.format or HEATMAP_FORMAT_FLOAT32
        # Few cells are enough for a program. A PNG is for people, who see it beside the image.
        fitting = MAP_SIZE_AS_FEATURE_MAP if chosen == HEATMAP_FORMAT_FLOAT32 else MAP_SIZE_AS_IMAGE
        named = request.format != HEATMAP_FORMAT_UNSPECIFIED or request.size != MAP_SIZE_UNSPECIFIED
        return cls(chosen, request.size or fitting, named)

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            raise InvalidInput(f"there is no heatmap format {self.format}", field="format")
        if self.size not in _SIZES:
            raise InvalidInput(f"there is no map size {self.size}", field="size")
        if self.format == HEATMAP_FORMAT_PNG_OVERLAY and self.size == MAP_SIZE_AS_FEATURE_MAP:
            raise InvalidInput("an overlay must have the size AS_IMAGE or AS_MODEL", field="size")


def check_map_size(prepared: Prepared, drawing: Drawing, maps: int) -> None:
    """Raise LimitExceeded if `maps` maps of the requested size have too many pixels."""
    sizes = {
        MAP_SIZE_AS_IMAGE: prepared.width * prepared.height,
        MAP_SIZE_AS_MODEL: prepared.pixels.shape[0] * prepared.pixels.shape[1],
        # A feature map is smaller than the network's input.
        MAP_SIZE_AS_FEATURE_MAP: 0,
    }
    pixels = maps * sizes[drawing.size]
    packed = drawing.size == MAP_SIZE_AS_IMAGE and drawing.format != HEATMAP_FORMAT_FLOAT32
    limit = MAX_PNG_PIXELS if packed else MAX_MAP_PIXELS
    if pixels > limit:
        raise _too_large(f"{pixels:,} pixels, more than {limit:,}")


def _check_bytes(total: int, drawing: Drawing) -> None:
    limit = reply_limit(named=drawing.named)
    if total > limit:
        raise _too_large(f"{total:,} bytes, more than {limit:,}{limit_hint(named=drawing.named)}")


def _too_large(size: str) -> LimitExceeded:
    return LimitExceeded(
        f"the maps would have {size}; request AS_FEATURE_MAP and draw it over the box in the response, as "
        "the client library does",
        reason="MAP_TOO_LARGE",
        field="size",
    )


class MapDrawing:
    """Draws the maps of one response, and bounds their bytes."""

    def __init__(self, canvas: Canvas, drawing: Drawing) -> None:
        self._canvas = canvas
        self._drawing = drawing
        self._bytes = 0

    def draw(self, values: NDArray[np.float32]) -> HeatmapData:
        """Draw a map of the feature map's size, float32 [rows, columns] in [0, 1].

        Raises LimitExceeded if the maps drawn so far take more bytes than one response may have.
        """
        if self._drawing.format == HEATMAP_FORMAT_FLOAT32:
            sized = self._sized(values)
            (height, width), data = sized.shape, sized.astype("<f4", copy=False).tobytes()
        else:
            image = self._image(values)
            height, width, data = image.height, image.width, png_bytes(image)
        self._bytes += len(data)
        _check_bytes(self._bytes, self._drawing)
        return HeatmapData(
            height=height, width=width, format=self._drawing.format, data=data, all_zero=not values.any()
        )

    def _image(self, values: NDArray[np.float32]) -> Image.Image:
        overlay = self._drawing.format == HEATMAP_FORMAT_PNG_OVERLAY
        if self._drawing.size == MAP_SIZE_AS_IMAGE:
            return self._over_image(values) if overlay else self._grey_image(values)
        sized = self._sized(values)
        return (
            draw_overlay(self._canvas.network_input, sized)
            if overlay
            else Image.fromarray(grey_levels(sized))
        )

    def _grey_image(self, values: NDArray[np.float32]) -> Image.Image:
        levels = np.empty((self._canvas.height, self._canvas.width), np.uint8)
        for top, strip in self._strips(values):
            levels[top : top + len(strip)] = grey_levels(strip)
        return Image.fromarray(levels)

    def _over_image(self, values: NDArray[np.float32]) -> Image.Image:
        canvas = self._canvas
        drawn = Image.new("RGB", (canvas.width, canvas.height))
        for top, strip in self._strips(values):
            below = canvas.upright.crop((0, top, canvas.width, top + len(strip)))
            drawn.paste(draw_overlay(below, strip), (0, top))
        return drawn

    def _strips(self, values: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the map of the image's size in strips, each with the number of its first row."""
        canvas = self._canvas
        left, box_top, right, bottom = canvas.box
        rows = max(1, _STRIP_PIXELS // canvas.width)
        for top in range(0, canvas.height, rows):
            box = (left, box_top - top, right, bottom - top)
            yield top, map_to_image(values, box, canvas.width, min(rows, canvas.height - top))

    def _sized(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        canvas, size = self._canvas, self._drawing.size
        if size == MAP_SIZE_AS_IMAGE:
            return map_to_image(values, canvas.box, canvas.width, canvas.height)
        if size == MAP_SIZE_AS_MODEL:
            return map_to_size(values, *canvas.input_size)
        return values
