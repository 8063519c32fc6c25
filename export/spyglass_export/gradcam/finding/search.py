"""Search for the map, or the maps, that hold all of the evidence behind the class scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from spyglass_export.gradcam.finding.attention import Attention
from spyglass_export.gradcam.finding.dominators import dominators
from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.finding.liveness import Question, are_read, has_gradient
from spyglass_export.gradcam.finding.maps import MOVING, Located, Maps
from spyglass_export.gradcam.finding.normalised import normalised
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.scores import Scores

# Tensors behind maps whose gradients one run of the network computes.
_SMALL = 200


@dataclass(frozen=True)
class Choice:
    """The maps to explain together, and what the user must know about them."""

    maps: tuple[Located, ...]
    notices: tuple[str, ...] = ()


class Search:
    """What is known of a graph while its feature map is searched."""

    def __init__(self, view: GraphView, scores: Scores) -> None:
        self.view, self.scores = view, scores
        self.flow = Flow(view)
        self.maps = Maps(view, self.flow)
        self.attention = Attention(view, self.flow, self.maps)
        self._read: dict[str, bool | None] = {}

    @cached_property
    def dominators(self) -> list[str]:
        """The tensors that every path from the image to the scores passes, the last one first."""
        return dominators(self.flow, self.scores.tensor)

    @cached_property
    def _before_scores(self) -> set[str]:
        return self.flow.before([self.scores.tensor])

    def candidates(self, tensors: Iterable[str]) -> Iterator[Located]:
        """Yield those of `tensors` that may be explained, in the same order."""
        for tensor in tensors:
            found = self.maps.at(tensor)
            if found is not None and self.may_be_explained(found):
                yield found

    def may_be_explained(self, found: Located) -> bool:
        """Return whether a map repeats no earlier one, and is not what attention compares."""
        return not (
            self.maps.repeats(found)
            or self.attention.splits_heads(found)
            or self.attention.joins_projections(found)
        )

    def last_read(self, tensors: Sequence[str]) -> Located | None:
        """Return the first of `tensors` that may be explained and that the scores read, in its best form."""
        for together in self._groups(self.candidates(tensors)):
            self._ask(together)
            for found in together:
                # If there is no gradient, the error must name the operator: no earlier map has one either.
                if self._read[found.tensor] is not False:
                    return self._best_form(found)
        return None

    def _groups(self, maps: Iterable[Located]) -> Iterator[list[Located]]:
        """Yield groups of maps in the same order; one run computes all gradients of a group."""
        together: list[Located] = []
        nodes = 0
        for found in maps:
            behind = self.flow.behind([found.tensor]) & self._before_scores
            if together and nodes + len(behind) > _SMALL:
                yield together
                together, nodes = [], 0
            together.append(found)
            nodes += len(behind)
            if nodes > _SMALL:
                yield together
                together, nodes = [], 0
        if together:
            yield together

    def is_read(self, found: Located) -> bool | None:
        """Return whether the scores read a map, None if this cannot be computed."""
        self._ask([found])
        return self._read[found.tensor]

    def has_evidence_around(self, stream: Located, through: Sequence[str]) -> bool:
        """Return whether evidence at the places of a map reaches the scores around the tensors `through`.

        True, too, if the gradient that would tell cannot be computed.
        """
        (answer,) = are_read(self.view, self.scores, [Question(stream, frozenset(through))])
        return answer is not False

    def has_gradient(self, found: Located) -> bool:
        """Return whether the gradient of a map can be computed."""
        return has_gradient(self.view, self.scores, found)

    def _ask(self, maps: Sequence[Located]) -> None:
        new = [found for found in maps if found.tensor not in self._read]
        answers = are_read(self.view, self.scores, [Question(found) for found in new])
        self._read.update((found.tensor, answer) for found, answer in zip(new, answers, strict=True))

    def _best_form(self, found: Located) -> Located:
        """The normalised form of a map if it has all of the evidence, otherwise the map as a plain tensor."""
        form = normalised(self.view, self.flow, self.maps, found, self.scores.tensor)
        if form is not None and not self.has_evidence_around(found, [form.tensor]):
            found = form
        return self._as_plain(found)

    def _as_plain(self, found: Located) -> Located:
        """The same numbers in a plain layout, if a node moves them so."""
        moved: Located | None = found
        while moved is not None and moved.placement.layout is None:
            moved = self._moved_alone(moved)
        return found if moved is None else moved

    def _moved_alone(self, found: Located) -> Located | None:
        """The result of the only node that reads a map, if the node keeps all numbers."""
        readers = self.view.consumers.get(found.tensor, ())
        if len(readers) != 1 or readers[0].op_type not in MOVING:
            return None
        return self.maps.at(readers[0].outputs[0])
