"""The places of the image itself: one for each pixel."""

from __future__ import annotations

import numpy as np
import onnx

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.layout import CHANNELS_FIRST, CHANNELS_LAST, Layout, find_layout
from spyglass_export.gradcam.places.grid import Grid
from spyglass_export.gradcam.places.located import located
from spyglass_export.gradcam.places.traced import Traced, traced_nowhere
from spyglass_export.gradcam.tensor_types import Dims

# Assumed sizes of a free batch, and of a free height and width.
BATCH = 2
SIDE = 224
_COLOURS = (1, 3, 4)


def entry(view: GraphView, given: onnx.ValueInfoProto) -> Traced | None:
    """Return the places of an input of the model, None if even its rank is unknown.

    An input of rank 4 is the image. The graph shows its channels; otherwise they are the axis of 1, 3 or
    4, if only one can be. Other inputs have no places.
    """
    if (rank := view.rank(given.name)) is None:
        return None
    # Some exporters write -1 for a free size.
    dims = tuple(size if size is not None and size > 0 else None for size in view.dims(given.name))
    layout = _layout(view, given.name, dims) if rank == 4 else None
    if layout is None:
        return traced_nowhere(tuple(size or BATCH for size in dims))
    shape = tuple(size or (SIDE if axis in layout.spatial else BATCH) for axis, size in enumerate(dims))
    if dims[layout.channel] is None:
        shape = (*shape[: layout.channel], 3, *shape[layout.channel + 1 :])
    height, width = (shape[axis] for axis in layout.spatial)
    grid = Grid(height, width)
    places = np.arange(shape[0] * grid.size, dtype=np.int32).reshape(shape[0], height, width)
    base = np.expand_dims(places, layout.channel)
    return Traced(located(np.broadcast_to(base, shape), grid, of_pixels=True))


def has_free_sizes(view: GraphView) -> bool:
    """Return whether an input of rank 4 has free sizes other than its batch."""
    inputs = [value.name for value in view.model.graph.input]
    return any(view.rank(name) == 4 and None in view.dims(name)[1:] for name in inputs)


def _layout(view: GraphView, name: str, dims: Dims) -> Layout | None:
    if (shown := find_layout(view, name)) is not None:
        # An image has its height before its width, also if the network transposes it.
        first, second = sorted(shown.spatial)
        return Layout(shown.channel, (first, second))
    first, last = (dims[axis] in _COLOURS for axis in (1, 3))
    if first == last:
        return None
    return CHANNELS_FIRST if first else CHANNELS_LAST
