"""A part of the graph between a feature map and the scores, without the paths through some tensors."""

from __future__ import annotations

from collections.abc import Collection

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.head import Head, find_head


def head_without(view: GraphView, feature_map: str, scores: str, cut: Collection[str]) -> Head | None:
    """Return the head of a feature map that leaves out the paths through the tensors `cut`.

    The gradient along it holds `cut` constant. None if no path is left. Raises FeatureMapError if the scores
    do not depend on the feature map at all.
    """
    head = find_head(view, feature_map, scores)
    behind = {feature_map}
    for node in head.nodes:
        if behind.intersection(node.reads):
            behind.update(head.path.intersection(node.outputs).difference(cut))
    leading = {scores} & behind
    kept = []
    for node in reversed(head.nodes):
        if leading.intersection(node.outputs):
            leading.update(behind.intersection(node.reads))
            kept.append(node)
    if scores not in behind:
        return None
    return Head(feature_map, scores, tuple(reversed(kept)), frozenset(leading))
