"""The feature map that a heatmap explains: one tensor, or several that hold the evidence together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spyglass_export.gradcam.finding.choose import default_choice, named_choice
from spyglass_export.gradcam.finding.search import Choice, Search
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.layout import CHANNELS_LAST, Layout
from spyglass_export.gradcam.places import Placement
from spyglass_export.gradcam.scores import Scores


@dataclass(frozen=True)
class Part:
    """A tensor that is a feature map once it is brought to [rows, height, width, channels]."""

    tensor: str
    placement: Placement


@dataclass(frozen=True)
class FeatureMap:
    """A feature map of rank 4; `layout` holds its axes of channels, height and width.

    Without `parts` it is the tensor `tensor` of the graph. Otherwise it is the join of the parts along the
    channels, on the finest grid of them, and `tensor` names them all.
    """

    tensor: str
    layout: Layout
    parts: tuple[Part, ...] = ()

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the finest part, in places."""
        grids = [(part.placement.height, part.placement.width) for part in self.parts]
        return max(grids, key=math.prod)

    @property
    def tensors(self) -> list[str]:
        """The tensors of the graph that the map is made of."""
        return [part.tensor for part in self.parts] or [self.tensor]


def find_feature_map(view: GraphView, scores: Scores, name: str | None) -> tuple[FeatureMap, tuple[str, ...]]:
    """Return the feature map called `name`, a tensor or a node, or the last one; and notices for the user.

    The last one is the last that every path from the image to the scores passes and that the scores read.
    If no single map has all of the evidence, it is the join of several maps. Tokens count as a
    map if each lies at a place of a grid over the image. Raises FeatureMapError if there is no such map.
    """
    search = Search(view, scores)
    choice = default_choice(search) if name is None else named_choice(search, name)
    return _joined(choice), choice.notices


def _joined(choice: Choice) -> FeatureMap:
    first = choice.maps[0]
    if len(choice.maps) == 1 and first.placement.layout is not None:
        return FeatureMap(first.tensor, first.placement.layout)
    parts = tuple(Part(each.tensor, each.placement) for each in choice.maps)
    return FeatureMap(" + ".join(part.tensor for part in parts), CHANNELS_LAST, parts)
