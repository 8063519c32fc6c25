"""From the places of a tensor's numbers to its placement, if every place has equally many of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spyglass_export.gradcam.layout import CHANNELS_FIRST, CHANNELS_LAST, Layout
from spyglass_export.gradcam.places.arrangement import Arrangement
from spyglass_export.gradcam.places.batch_axis import BatchAxis
from spyglass_export.gradcam.places.grid import Grid, Numbers
from spyglass_export.gradcam.places.located import Located, Shape
from spyglass_export.gradcam.places.own_grid import on_grid_of_its_own
from spyglass_export.gradcam.places.placement import Placement
from spyglass_export.gradcam.places.traced import Traced
from spyglass_export.gradcam.tensor_types import Dims


@dataclass(frozen=True)
class _OneImage:
    """The places of the numbers of one image, in the shape of the tensor without its batch."""

    batch: BatchAxis
    # Where the axis of the batch is among the axes after the split.
    axis: int
    base: Numbers
    shape: Shape


def place(found: Traced, dims: Dims, images: int) -> Placement | None:
    """Return the placement of a tensor of the dimensions `dims`, traced for `images`; None if it has none."""
    places = found.places
    if found.others is not None or places.grid is None or len(dims) != len(places.shape):
        return None
    complete = on_grid_of_its_own(places)
    if complete is None or complete.grid is None:
        return None
    image = _one_image(complete, complete.grid, dims, images)
    return None if image is None else _placement(image, complete.grid, places.of_pixels)


def _one_image(places: Located, grid: Grid, dims: Dims, images: int) -> _OneImage | None:
    """The places of one image, if some axis holds the images one by one and all in the same order."""
    if images == 1:
        return _only_image(places, dims)
    for batch in _splits(places, images, dims):
        factors = batch.factors(images)
        axis = batch.axis + (batch.outer > 1)
        before, after = slice(batch.axis), slice(batch.axis + 1, None)
        split = places.base.reshape(*places.base.shape[before], *factors, *places.base.shape[after])
        of_images = np.moveaxis(split, axis, 0)
        if _are_in_step(of_images, grid):
            shape = [*places.shape[before], *batch.factors(1), *places.shape[after]]
            del shape[axis]
            return _OneImage(batch, axis, of_images[0], tuple(shape))
    return None


def _are_in_step(of_images: Numbers, grid: Grid) -> bool:
    """Whether the first axis counts the images, and all have the same places in the same order."""
    first = of_images[0]
    if first.max() >= grid.size:
        return False
    expected = (np.where(first < 0, first, first + image * grid.size) for image in range(len(of_images)))
    return all(np.array_equal(*both) for both in zip(of_images, expected, strict=True))


def _splits(places: Located, images: int, dims: Dims) -> Iterator[BatchAxis]:
    """The axes that may hold the batch: those of unknown size, if there are any."""
    for axis in range(len(dims)):
        if None in dims and dims[axis] is not None:
            continue
        size = places.base.shape[axis]
        if size % images:
            continue
        rest = size // images
        for outer in (number for number in range(1, rest + 1) if rest % number == 0):
            yield BatchAxis(axis, outer, rest // outer)


def _only_image(places: Located, dims: Dims) -> _OneImage:
    """A network for one image: its axis is the first of size 1, or the images would come first."""
    axis = next((axis for axis, size in enumerate(places.shape) if size == 1 and dims[axis] is None), None)
    if axis is None:
        axis = next((axis for axis, size in enumerate(places.shape) if size == 1), 0)
    inner = places.shape[axis]
    rest = _without(places.shape, axis) if inner == 1 else places.shape
    base = np.squeeze(places.base, axis) if inner == 1 else places.base
    return _OneImage(BatchAxis(axis, inner=inner), axis, base, rest)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _placement(image: _OneImage, grid: Grid, of_pixels: bool) -> Placement | None:
    varying = [axis for axis, size in enumerate(image.base.shape) if size > 1]
    still = [axis for axis in range(len(image.shape)) if axis not in varying]
    sizes = tuple(image.shape[axis] for axis in (*varying, *still))
    positions = image.base.reshape(-1)
    order = np.argsort(positions, kind="stable")
    placed = order[positions[order] >= 0]
    counts = np.bincount(positions[placed], minlength=grid.size)
    if not counts[0] or (counts != counts[0]).any():
        return None
    plain = len(placed) == len(positions) and np.array_equal(placed, np.arange(len(placed)))
    axes = [image.axis, *(axis + (axis >= image.axis) for axis in (*varying, *still))]
    channels = math.prod(sizes[len(varying) :]) * int(counts[0])
    return Placement(
        grid.height,
        grid.width,
        channels,
        of_pixels,
        _layout(image, grid, varying) if plain and counts[0] == 1 else None,
        Arrangement(
            image.batch,
            tuple(axes),
            len(varying),
            sizes,
            None if plain else tuple(placed.tolist()),
            (grid.height, grid.width),
        ),
    )


def _layout(image: _OneImage, grid: Grid, varying: list[int]) -> Layout | None:
    """The layout of a tensor of rank 4 with the batch first and the places in order."""
    if image.batch.folded or image.batch.axis != 0 or len(image.shape) != 3:
        return None
    for layout in (CHANNELS_FIRST, CHANNELS_LAST):
        if varying == [axis - 1 for axis in layout.spatial]:
            return layout
    return None
