"""The normalised tensor that the last block of a network reads instead of its residual stream.

A block of a transformer is x + f(norm(x)). Users of Grad-CAM explain norm(x) of the last block: its numbers
have comparable sizes at all places, those of the stream x have not. That is allowed if all of the evidence at
the places of x goes through norm(x): then the sum `x +` carries the class token only.
"""

from __future__ import annotations

from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.finding.liveness import Question
from spyglass_export.gradcam.finding.maps import Located, Maps
from spyglass_export.gradcam.finding.products import PRODUCTS, computed_without_products
from spyglass_export.gradcam.graph_view import GraphView

_NORMALISATIONS = frozenset(
    {
        "BatchNormalization",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LpNormalization",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "com.microsoft.LayerNormalization",
        "com.microsoft.SimplifiedLayerNormalization",
    }
)
# A normalisation in smaller operators divides by a root or a norm of sums.
_ROOTS = frozenset({"Pow", "ReduceL2", "Reciprocal", "Sqrt"})


def normalised(view: GraphView, flow: Flow, maps: Maps, stream: Located, scores: str) -> Located | None:
    """Return the normalised form of a map that the first products behind it read, None if there is none.

    Ask `evidence_around` whether all of the evidence goes through it.
    """
    own = computed_without_products(view, flow, stream.tensor) & flow.before([scores])
    read = {name for name in own for node in view.consumers.get(name, ()) if node.op_type in PRODUCTS}
    # A class token alone, which is read as the query, has no place.
    sources = {maps.before_moves(name, stream.tensor) for name in read if maps.has_places(name)}
    if len(sources) != 1 or stream.tensor in sources:
        return None
    (tensor,) = sources
    between = flow.behind([stream.tensor]) & flow.before([tensor]) - {stream.tensor}
    found = maps.at(tensor)
    if found is None or found.grid != stream.grid or not _normalises(view, between):
        return None
    return found


def evidence_around(stream: Located, through: Located) -> Question:
    """Return the question whether evidence at the places of `stream` goes around `through`."""
    return Question(stream, frozenset({through.tensor}))


def _normalises(view: GraphView, tensors: set[str]) -> bool:
    operators = {view.producers[name].op_type for name in tensors}
    return not operators.isdisjoint(_NORMALISATIONS | _ROOTS)
