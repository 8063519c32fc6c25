"""The axis of a tensor that holds the batch, alone or folded with others."""

from __future__ import annotations

from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.sizes import Size, Sized, reshape, size_of


@dataclass(frozen=True)
class BatchAxis:
    """The axis `axis`, of size `outer` x batch x `inner`: windows or heads may be folded with the batch."""

    axis: int
    outer: int = 1
    inner: int = 1

    @property
    def folded(self) -> bool:
        """Whether the axis holds more than the batch."""
        return self.outer * self.inner > 1

    def factors(self, batch: int) -> list[int]:
        """Return the sizes that the axis is split into: those above 1, and the batch between them."""
        before = [self.outer] if self.outer > 1 else []
        after = [self.inner] if self.inner > 1 else []
        return [*before, batch, *after]

    def split(self, build: GraphBuilder, tensor: Sized) -> str:
        """Add a node that gives each factor an axis of its own; none if the axis holds only the batch."""
        if not self.folded:
            return tensor.name
        sizes: list[Size] = [
            -1 if axis == self.axis else size_of(build, tensor, axis) for axis in range(tensor.rank)
        ]
        sizes[self.axis : self.axis + 1] = self.factors(-1)
        return reshape(build, tensor.name, sizes)
