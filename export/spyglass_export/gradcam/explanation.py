"""The argument of every heatmap method, with the sums that several methods use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.feature_map import FeatureMap
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.opset_forms import reduce, squeeze
from spyglass_export.gradcam.record import GradientRecord
from spyglass_export.gradcam.scaling import RawMap, excess_of, is_nonnegative, noise_level
from spyglass_export.gradcam.scores import Scores
from spyglass_export.gradcam.sizes import Size, Sized, reshape, size_of
from spyglass_export.gradcam.tensor_types import Dims


@dataclass(frozen=True)
class Explanation:
    """The feature map A as float32 `activations`, the scores to explain, and the builder of new nodes.

    A method returns a map before clipping at 0 and scaling. `parts` are the parts of a map that has some,
    before they were brought to one size.
    """

    view: GraphView
    build: GraphBuilder
    scores: Scores
    feature_map: FeatureMap
    activations: Sized
    parts: tuple[Sized, ...] = ()

    @property
    def channels(self) -> Size:
        """Number of channels of A."""
        return size_of(self.build, self.activations, self.feature_map.layout.channel)

    @property
    def places(self) -> Dims:
        """Height and width of A, None for a size that the graph does not state."""
        return tuple(self.activations.dims[axis] for axis in self.feature_map.layout.spatial)

    def as_map(self, places: str) -> str:
        """Reshape height·width numbers for each row to [rows, height, width]."""
        spatial = self.feature_map.layout.spatial
        sizes = [size_of(self.build, self.activations, axis) for axis in spatial]
        return reshape(self.build, places, [-1, *sizes])

    def weighted_sum(self, weights: str, magnitudes: str | None = None, count: Size = 1) -> RawMap:
        """Add Σ_k w_k·A_k for weights [rows, channels]: a matrix product, without a tensor of A's size.

        `magnitudes` are sums of the magnitudes of the terms of each weight, by default those of the weights.
        The map is the sum divided by `count`.
        """
        build, positive = self.build, is_nonnegative(self.view, self.feature_map.tensor)
        places, row = self._planes(), self._row(weights)
        values = self._product(row, places)
        sizes = self._row(magnitudes) if magnitudes else build.add("Abs", row)
        terms = self._product(sizes, places if positive else build.add("Abs", places))
        noise = build.add("Mul", terms, self._noise_level())
        return RawMap(self.as_map(values), excess_of(build, values, noise), count)

    def record(
        self,
        gradient: str,
        magnitudes: str = "",
        *,
        summed: bool = False,
        part_gradients: Sequence[Sized] = (),
    ) -> None:
        """Describe the gradient that the branch computes, of the shape of A or summed over its places."""
        spatial = self.feature_map.layout.spatial
        sizes = {tuple(part.dims[axis] for axis in spatial) for part in part_gradients}
        pairs = zip(self.parts, part_gradients, strict=True) if len(sizes) > 1 else ()
        self.build.description = GradientRecord(
            tuple(self.feature_map.tensors),
            self.activations.name,
            gradient,
            self.scores.tensor,
            self.scores.logit_of,
            spatial if summed else (),
            magnitudes,
            tuple((part.name, of_part.name) for part, of_part in pairs),
        ).text()

    def weighted_by(self, gradient: Cotangent) -> RawMap:
        """Add Σ_k g_k·A_k for a gradient with its own weight at every place."""
        layout = self.feature_map.layout
        if gradient.spread == set(layout.spatial):
            return self.weighted_sum(squeeze(self.build, gradient.name, layout.spatial))
        build, channel = self.build, [layout.channel]
        product = build.add("Mul", gradient.name, self.activations.name)
        terms = reduce(build, "ReduceL1", product, channel, keepdims=False)
        values = reduce(build, "ReduceSum", product, channel, keepdims=False)
        noise = build.add("Mul", terms, self._noise_level())
        return RawMap(values, excess_of(build, values, noise))

    def _row(self, weights: str) -> str:
        """Weights [rows, channels] as the factor of `_planes`: [rows, 1, channels] or [rows, channels, 1]."""
        first = self.feature_map.layout.channel == 1
        return reshape(self.build, weights, [-1, 1, self.channels] if first else [-1, self.channels, 1])

    def _planes(self) -> str:
        """A as [batch, channels, places], or [batch, places, channels]."""
        first = self.feature_map.layout.channel == 1
        return reshape(self.build, self.activations.name, [0, 0, -1] if first else [0, -1, self.channels])

    def _product(self, row: str, planes: str) -> str:
        """Add weights times activations: [rows, 1, places], or [rows, places, 1]."""
        first = self.feature_map.layout.channel == 1
        return self.build.add("MatMul", *((row, planes) if first else (planes, row)))

    def _noise_level(self) -> str:
        return self.build.floats(noise_level(self.view, self.scores.tensor))


Method = Callable[[Explanation], RawMap]
