"""The choice of a recipe: by what the quantised networks keep of the original on held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_contract.model.certificate import Run
from spyglass_contract.model.comparison import Comparison
from spyglass_contract.model.held_out import HeldOut
from spyglass_contract.model.precisions import Tolerance, shortfall
from spyglass_export.heatmap import Notify
from spyglass_export.quantising.classes_only import behind_scores, weighted
from spyglass_export.quantising.recipes import Ranges, Recipe, measure_ranges, quantised
from spyglass_export.session import open_session, runner

# Images in a run.
_BATCH = 8
# Held-out images that show what one node costs.
_PROBES = 16
# If no recipe keeps enough, these fractions of the nodes with weights stay in float32, the most costly first.
_KEPT = (0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Candidate:
    """A quantised graph, and its comparison with the original."""

    recipe: Recipe
    graph: onnx.ModelProto
    found: Comparison


@dataclass
class Choice:
    """Candidates of one network, which are compared on the same held-out images.

    `graph` computes the probabilities alone; `original` runs the whole model. `calibration` are images, uint8
    [count, height, width, channels]. `notify` gets one line for each candidate.
    """

    card: ModelCard
    graph: onnx.ModelProto
    original: Run
    calibration: NDArray[np.uint8]
    held_out: HeldOut
    tolerance: Tolerance
    notify: Notify
    # Classes by the original network, whole numbers [images] or [images, height, width].
    _classes: NDArray[np.integer[Any]] = field(init=False)
    _ranges: dict[float | None, Ranges] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        outputs = [self.original(pixels).argmax(axis=-1) for pixels in _batches(self.held_out.pixels)]
        self._classes = np.concatenate(outputs)

    def best(self, recipes: Sequence[Recipe]) -> Candidate:
        """Return the candidate that keeps most classes. Raises ModelError if none keeps enough.

        If no recipe keeps enough, the best one is tried with its most costly nodes in float32.
        """
        candidates = [self._candidate(recipe) for recipe in recipes]
        best = max(candidates, key=self._merit)
        if not self._lacks(best):
            return best
        for candidate in self._keeping_nodes(best.recipe):
            if not self._lacks(candidate):
                return candidate
            candidates.append(candidate)
        best = max(candidates, key=self._merit)
        raise ModelError(
            f"int8 is refused: {self._lacks(best)} (by the best of {len(candidates)} recipes, "
            f"{best.recipe.name}); give more or other calibration images, or allow more with "
            "--least-agreement and --most-metric-loss",
            reason="PRECISION_REFUSED",
        )

    def _candidate(self, recipe: Recipe) -> Candidate:
        graph = self._quantised(recipe)
        found = Comparison(len(self.card.class_names))
        run = self._runner(graph)
        labels = self.held_out.labels
        for start, pixels in zip(
            range(0, len(self.held_out), _BATCH), _batches(self.held_out.pixels), strict=True
        ):
            part = slice(start, start + _BATCH)
            found.add(self._classes[part], run(pixels), None if labels is None else labels[part])
        self.notify(f"{recipe.name}: {described(found)}")
        return Candidate(recipe, graph, found)

    def _keeping_nodes(self, recipe: Recipe) -> Iterator[Candidate]:
        nodes = weighted(self.graph)
        costs = {node: self._cost(recipe, node) for node in nodes}
        costly = sorted(nodes, key=costs.__getitem__, reverse=True)
        counts = dict.fromkeys(round(fraction * len(nodes)) for fraction in _KEPT)
        for count in counts:
            if 0 < count < len(nodes):
                yield self._candidate(recipe.keeping(costly[:count]))

    def _cost(self, recipe: Recipe, node: str) -> float:
        """Return the mean change of a logarithm of a probability if only `node` is quantised."""
        pixels = self.held_out.pixels[:_PROBES]
        run = self._runner(self._quantised(recipe, only=[node]))
        difference = [
            np.abs(_logarithm(run(batch)) - _logarithm(self.original(batch))).mean()
            for batch in _batches(pixels)
        ]
        return float(np.mean(difference))

    def _quantised(self, recipe: Recipe, only: Sequence[str] = ()) -> onnx.ModelProto:
        if recipe.percentile not in self._ranges:
            self._ranges[recipe.percentile] = measure_ranges(self.graph, self.calibration, recipe.percentile)
        ranges = self._ranges[recipe.percentile]
        return quantised(self.graph, ranges, recipe, behind_scores(self.graph), only)

    def _runner(self, graph: onnx.ModelProto) -> Run:
        return runner(open_session(graph.SerializeToString()), self.card)

    def _lacks(self, candidate: Candidate) -> str:
        return shortfall(candidate.found, self.tolerance)

    def _merit(self, candidate: Candidate) -> tuple[bool, float, float]:
        loss = candidate.found.metric_loss
        return candidate.found.finite, candidate.found.agreement, -(loss or 0.0)


def described(found: Comparison) -> str:
    """Return the figures of a comparison on held-out images, on one line."""
    text = f"{found.agreement_text()} keep their class"
    if found.original_metric is None or found.reduced_metric is None:
        return text
    return f"{text}; {found.metric} {found.reduced_metric:.2%} instead of {found.original_metric:.2%}"


def _batches(pixels: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(pixels), _BATCH):
        yield pixels[start : start + _BATCH]


def _logarithm(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(np.clip(output, 1e-7, None))
