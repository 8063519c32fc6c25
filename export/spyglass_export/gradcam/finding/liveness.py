"""Whether the class scores read a feature map.

Behind its last block a vision transformer reads its class token only. The tokens of the image's patches have
then a gradient of exactly 0, and the map to explain is an earlier one. The run of the gradient on images of
noise decides. A head that picks no numbers out of its tensors reads all of them, and is not run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import dense
from spyglass_export.gradcam.errors import FeatureMapError, HeatmapError, UnsupportedHead
from spyglass_export.gradcam.finding.cut_head import head_without
from spyglass_export.gradcam.finding.maps import Located
from spyglass_export.gradcam.finding.noise_run import IMAGES, NoiseRuns
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head, find_head
from spyglass_export.gradcam.reverse import reverse_pass
from spyglass_export.gradcam.scores import Scores
from spyglass_export.gradcam.selection import seed
from spyglass_export.gradcam.sizes import Sized

# Operators whose result may leave out numbers of their input.
_PICKING = frozenset(
    {
        "Gather",
        "GatherElements",
        "GatherND",
        "ScatterElements",
        "ScatterND",
        "Slice",
        "Split",
        "TopK",
    }
)
# Relative to the largest gradient of the tensor, class token included: surely above float32's rounding.
_ABOVE_ROUNDING = 1e-6
# The largest relative change of a gradient, as a root mean square, if the image changes by a millionth.
_STEADY = 0.1


def picks(head: Head) -> bool:
    """Return whether a head may leave out a part of its feature map."""
    return any(node.op_type in _PICKING for node in head.nodes)


@dataclass(frozen=True)
class Question:
    """Whether the scores read the map `found` on paths that avoid the tensors `cut`."""

    found: Located
    cut: Collection[str] = ()


def are_read(view: GraphView, scores: Scores, questions: Sequence[Question]) -> list[bool | None]:
    """Answer each question, None if this package or ONNX Runtime cannot compute the gradient.

    A map is read if its gradient at the places of its grid is not 0, and more than rounding noise.
    """
    answers: dict[int, bool | None] = {}
    asked: dict[int, tuple[str, str]] = {}
    build = GraphBuilder(view.opset, view.producers)
    start = seed(view, build, scores)
    for index, question in enumerate(questions):
        try:
            head = head_without(view, question.found.tensor, scores.tensor, question.cut)
            if head is None or not picks(head):
                answers[index] = head is not None
                continue
            gradient = dense(build, reverse_pass(view, build, head, start)[question.found.tensor])
        except (FeatureMapError, UnsupportedHead):
            answers[index] = None
            continue
        dims = view.dims(question.found.tensor)
        asked[index] = (
            question.found.placement.arranged(build, Sized(gradient.name, dims)).name,
            gradient.name,
        )
    if asked:
        answers.update(_run(view, build, asked))
    return [answers[index] for index in range(len(questions))]


def has_gradient(view: GraphView, scores: Scores, found: Located) -> bool:
    """Return whether each node between a map and the scores has a gradient rule."""
    build = GraphBuilder(view.opset, view.producers)
    try:
        head = find_head(view, found.tensor, scores.tensor)
        reverse_pass(view, build, head, seed(view, build, scores))
    except (FeatureMapError, UnsupportedHead):
        return False
    return True


def _run(
    view: GraphView, build: GraphBuilder, asked: Mapping[int, tuple[str, str]]
) -> dict[int, bool | None]:
    try:
        runs = NoiseRuns(view, build, [name for pair in asked.values() for name in pair])
        return {index: any(_is_read(runs, image, *pair) for image in IMAGES) for index, pair in asked.items()}
    except HeatmapError:
        return dict.fromkeys(asked)


def _is_read(runs: NoiseRuns, image: int, at_places: str, everywhere: str) -> bool:
    """Return whether the gradient at the places of a map is more than rounding noise.

    It is if it is large. Otherwise it is if a twin, an image that hardly differs, has nearly the same.
    """
    gradient = runs.values(image)[at_places]
    if not gradient.any():
        return False
    if np.abs(gradient).max() > _ABOVE_ROUNDING * np.abs(runs.values(image)[everywhere]).max():
        return True
    change = np.square(runs.values(image, twin=True)[at_places] - gradient, dtype=np.float64).mean()
    return bool(change < _STEADY**2 * np.square(gradient, dtype=np.float64).mean())
