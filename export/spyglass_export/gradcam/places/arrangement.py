"""How the numbers of a tensor go to [rows, height, width, channels]."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.places.batch_axis import BatchAxis
from spyglass_export.gradcam.sizes import Sized, reshape


@dataclass(frozen=True)
class Arrangement:
    """The steps from a tensor to [rows, height, width, channels].

    The batch is split from the axis that holds it. After that the axes in `order` are the rows, then
    `varying` axes that vary with the place, then those that do not; `sizes` are their sizes in this order,
    without the rows. `picked` holds the position of each number of each place in the varying axes, the first
    place first; None means that all positions follow in the order of the image.
    """

    batch: BatchAxis
    order: tuple[int, ...]
    varying: int
    sizes: tuple[int, ...]
    picked: tuple[int, ...] | None
    grid: tuple[int, int]

    def apply(self, build: GraphBuilder, tensor: Sized) -> Sized:
        """Add the nodes for a tensor, or for a gradient with rows in the place of its batch."""
        height, width = self.grid
        channels = math.prod(self.sizes) if self.picked is None else self._channels * len(self.picked)
        channels //= height * width
        name = self.batch.split(build, tensor)
        if self.order != tuple(range(len(self.order))):
            name = build.add("Transpose", name, perm=list(self.order))
        if self.picked is not None:
            name = self._pick(build, name)
        if self.picked is not None or self.sizes != (height, width, channels):
            name = reshape(build, name, [-1, height, width, channels])
        return Sized(name, (None, height, width, channels))

    @property
    def _channels(self) -> int:
        return math.prod(self.sizes[self.varying :])

    def _pick(self, build: GraphBuilder, name: str) -> str:
        """Keep the positions that lie at a place, in the order of the image: [rows, picked, channels]."""
        assert self.picked is not None
        if self.sizes != (positions := math.prod(self.sizes[: self.varying]), self._channels):
            name = reshape(build, name, [-1, positions, self._channels])
        start, end = self.picked[0], self.picked[-1] + 1
        if self.picked == tuple(range(start, end)):
            bounds = (build.integers([bound]) for bound in (start, end, 1))
            return build.add("Slice", name, *bounds)
        return build.add("Gather", name, build.integers(self.picked), axis=1)
