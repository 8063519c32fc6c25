"""A feature map that is made of other tensors, as [batch, height, width, channels], and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import dense
from spyglass_export.gradcam.feature_map import FeatureMap, Part
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.grid_change import distributed, interpolated
from spyglass_export.gradcam.head import find_head
from spyglass_export.gradcam.reverse import Gradient, reverse_pass
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.weights import as_float32


@dataclass(frozen=True)
class Arranged:
    """A tensor of a whole feature map, and its parts, if it has some, before they got one size."""

    whole: Sized
    parts: tuple[Sized, ...] = ()


def activations_of(view: GraphView, build: GraphBuilder, feature_map: FeatureMap) -> Arranged:
    """Return a feature map as float32, in the axes of its layout."""
    if not feature_map.parts:
        return Arranged(Sized(as_float32(view, build, feature_map.tensor), view.dims(feature_map.tensor)))
    arranged = tuple(
        part.placement.arranged(build, Sized(as_float32(view, build, part.tensor), view.dims(part.tensor)))
        for part in feature_map.parts
    )
    return Arranged(
        _join(build, [interpolated(build, each, feature_map.grid) for each in arranged]), arranged
    )


def arranged_gradient(
    view: GraphView, build: GraphBuilder, feature_map: FeatureMap, scores: str, start: Gradient
) -> Arranged:
    """Return the gradient of a map with parts, float32 [rows, height, width, channels].

    The gradient of each part counts all paths from it to the scores. `start` is the gradient of the scores.
    Raises UnsupportedHead.
    """

    def of(part: Part) -> Sized:
        head = find_head(view, part.tensor, scores)
        full = dense(build, reverse_pass(view, build, head, start)[part.tensor])
        return part.placement.arranged(build, Sized(full.name, view.dims(part.tensor)))

    arranged = tuple(of(part) for part in feature_map.parts)
    return Arranged(_join(build, [distributed(build, each, feature_map.grid) for each in arranged]), arranged)


def _join(build: GraphBuilder, arranged: Sequence[Sized]) -> Sized:
    """Tensors [rows, height, width, channels] of one grid side by side along their channels."""
    if len(arranged) == 1:
        return arranged[0]
    name = build.add("Concat", *(tensor.name for tensor in arranged), axis=3)
    channels = [tensor.dims[3] for tensor in arranged]
    return Sized(name, (*arranged[0].dims[:3], _total(channels)))


def _total(sizes: Sequence[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
