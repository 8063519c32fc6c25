"""The positions in a tensor that an indexing node reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx

from spyglass_export.simplifying.evaluation import LARGEST, Array

Positions = npt.NDArray[np.int64]

INDEXING = frozenset({"Gather", "GatherElements", "GatherND"})


def read_positions(node: onnx.NodeProto, dims: Sequence[int], indices: Array) -> Positions | None:
    """Return for each number of the output the place in the flattened data, of shape `dims`, that it is from.

    None for indices that the operator rejects, and for tensors that are too large to look at.
    """
    size = int(np.prod(dims, dtype=np.int64))
    if size > LARGEST or indices.size > LARGEST:
        return None
    places = np.arange(size).reshape(dims)
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    try:
        if node.op_type == "GatherND":
            return _gather_nd(places, indices, attributes.get("batch_dims", 0))
        axis = attributes.get("axis", 0)
        if node.op_type == "GatherElements":
            return np.asarray(_gather_elements(places, indices, axis), np.int64)
        rows = int(np.prod(np.delete(places.shape, axis), dtype=np.int64))
        return places.take(indices, axis) if rows * indices.size <= LARGEST else None
    except (IndexError, ValueError):
        return None


def _gather_elements(places: Positions, indices: Array, axis: int) -> Positions:
    """As numpy's take_along_axis, for indices that may be smaller than the data along the other axes."""
    grid: list[Positions] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = indices
    return places[tuple(grid)]


def _gather_nd(places: Positions, indices: Array, batch_dims: int) -> Positions:
    """Each last row of `indices` addresses the axes behind the first `batch_dims`, which both share."""
    shared = np.indices((*indices.shape[:batch_dims], *[1] * (indices.ndim - 1 - batch_dims)), sparse=True)
    return places[(*shared[:batch_dims], *np.moveaxis(indices, -1, 0))]
