"""The part of a graph between a feature map and the class scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spyglass_export.gradcam.errors import FeatureMapError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.quantised_range import quantisers_of

# The slope of these operators is 0 wherever it exists, and torch and TensorFlow take it as 0 everywhere. No
# gradient flows through them, as none flows through integers.
FLAT = frozenset({"Ceil", "Floor", "Hardmax", "Round", "Sign"})


@dataclass(frozen=True)
class Head:
    """The nodes between a feature map and the scores, in topological order.

    `path` holds the real tensors that depend on the feature map and influence the scores, both ends
    included. Only these have gradients.
    """

    feature_map: str
    scores: str
    nodes: tuple[Node, ...]
    path: frozenset[str]

    def reads(self, node: Node) -> list[int]:
        """Return the indices of the node's inputs that are on the path."""
        return [index for index, name in enumerate(node.inputs) if name in self.path]


def find_head(view: GraphView, feature_map: str, scores: str) -> Head:
    """Return all nodes between a feature map and the scores, with branches and merges.

    Raises FeatureMapError if the scores do not depend on the feature map.
    """
    behind = [node for node in reversed(view.ancestors(scores))]
    path = {feature_map}
    nodes: list[Node] = []
    flat: list[Node] = []
    for node in behind:
        if feature_map not in node.outputs and path.intersection(node.reads):
            if node.op_type in FLAT:
                flat.append(node)
                continue
            path.update(name for name in node.outputs if name and _may_have_gradient(view, name))
            nodes.append(node)
    if scores not in path or scores == feature_map:
        raise _independent(scores, feature_map, flat)
    return _leading_to(view, scores, feature_map, nodes, path)


def _may_have_gradient(view: GraphView, name: str) -> bool:
    """Return whether a value is real, or is no tensor, such as a sequence: its operator then has no rule."""
    return view.is_real(name) or not view.element(name)


def _independent(scores: str, feature_map: str, flat: list[Node]) -> FeatureMapError:
    told = f"the scores '{scores}' do not depend on the feature map '{feature_map}'"
    if flat:
        told += f", or only through operators of slope 0: {', '.join(node.label for node in flat)}"
    return FeatureMapError(told)


def _leading_to(view: GraphView, scores: str, feature_map: str, nodes: list[Node], path: set[str]) -> Head:
    """Leave out nodes that depend on the feature map but influence the scores through integers only."""
    leading = {scores}
    kept = []
    for node in reversed(nodes):
        if leading.intersection(node.outputs):
            leading.update(path.intersection(node.reads))
            kept.append(node)
    own = quantisers_of(view, scores)
    nodes = [replace(node, op_type="Identity") if node in own else node for node in reversed(kept)]
    return Head(feature_map, scores, tuple(nodes), frozenset(leading))
