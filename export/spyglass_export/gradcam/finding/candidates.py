"""The maps of a classifier that a heatmap can explain, with what lies behind each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import onnx

from spyglass_export.gradcam.errors import FeatureMapError
from spyglass_export.gradcam.finding.choose import default_choice, named_choice
from spyglass_export.gradcam.finding.maps import Located
from spyglass_export.gradcam.finding.search import Choice, Search
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head, find_head
from spyglass_export.gradcam.registry import has_rule
from spyglass_export.gradcam.scores import GradientOf, explained_scores
from spyglass_export.simplifying import simplified

# Earlier maps are coarser in meaning and finer in place; few users explain one before these.
MOST_LISTED = 8


@dataclass(frozen=True)
class Candidate:
    """A feature map: its tensor, its grid of places, and the numbers at each place.

    `chosen` says whether the heatmap explains it. `operators` are those from the map to the scores, each
    once, in their order; `without_rule` are those of them that have no gradient rule. `has_gradient` says
    whether the gradient can be computed; `is_read` whether it is not 0 at every place, None if unknown.
    """

    tensor: str
    height: int
    width: int
    channels: int
    chosen: bool
    operators: tuple[str, ...]
    without_rule: tuple[str, ...]
    has_gradient: bool
    is_read: bool | None


@dataclass(frozen=True)
class Candidates:
    """The maps that every path from the image to `scores` passes, and the chosen ones, the last one first.

    `notices` say what a reader of the heatmap must know. If no map is chosen, `problem` says why.
    """

    scores: str
    maps: tuple[Candidate, ...]
    notices: tuple[str, ...]
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def candidate_maps(
    model: onnx.ModelProto,
    *,
    feature_map: str | None = None,
    scores: str | None = None,
    gradient_of: GradientOf = "logit",
) -> Candidates:
    """List the feature maps of a classifier, at most 8 besides the chosen ones.

    The arguments are those of `attach_gradcam`; the model does not change. Raises ScoresError.
    """
    view = GraphView(simplified(model))
    search = Search(view, explained_scores(view, scores, gradient_of))
    choice, problem = _choice(search, feature_map)
    maps = tuple(_candidate(search, found, choice) for found in _listed(search, choice.maps))
    return Candidates(search.scores.tensor, maps, choice.notices, problem)


def _choice(search: Search, name: str | None) -> tuple[Choice, str]:
    try:
        return (default_choice(search) if name is None else named_choice(search, name)), ""
    except FeatureMapError as error:
        return Choice(()), error.problem


def _listed(search: Search, chosen: Sequence[Located]) -> list[Located]:
    """The last candidates and the chosen maps, the last one first."""
    found = {each.tensor: each for each in islice(search.candidates(search.dominators), MOST_LISTED)}
    found.update((each.tensor, each) for each in chosen)
    position = {name: index for index, name in enumerate(search.flow.order)}
    return sorted(found.values(), key=lambda each: position[each.tensor], reverse=True)


def _candidate(search: Search, found: Located, choice: Choice) -> Candidate:
    operators = _operators(_head(search, found))
    return Candidate(
        tensor=found.tensor,
        height=found.placement.height,
        width=found.placement.width,
        channels=found.placement.channels,
        chosen=found in choice.maps,
        operators=operators,
        without_rule=tuple(each for each in operators if not has_rule(each)),
        has_gradient=search.has_gradient(found),
        is_read=search.is_read(found),
    )


def _head(search: Search, found: Located) -> Head | None:
    try:
        return find_head(search.view, found.tensor, search.scores.tensor)
    except FeatureMapError:
        return None


def _operators(head: Head | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node.op_type for node in head.nodes)) if head is not None else ()
