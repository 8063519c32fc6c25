"""What can stand between a classifier and its heatmap.

ModelError
└── HeatmapError
    ├── ScoresError         the class scores are not found, or are no class scores
    ├── FeatureMapError     the feature map is not found, is not spatial, or has no part in the scores
    └── UnsupportedHead     a node between the two cannot be differentiated
"""

from __future__ import annotations

from spyglass_contract.errors import ModelError


class HeatmapError(ModelError):
    """No heatmap can be attached to this model as asked."""

    default_reason = "HEATMAP_IMPOSSIBLE"


class ScoresError(HeatmapError):
    """The class scores cannot be told from the graph, or what was named is none."""

    default_reason = "HEATMAP_SCORES"


class FeatureMapError(HeatmapError):
    """The feature map is missing, not spatial, or the scores do not depend on it."""

    default_reason = "HEATMAP_FEATURE_MAP"


class UnsupportedHead(HeatmapError):
    """A node between the feature map and the scores has no gradient here.

    `node` and `op_type` say which; the message says what to choose instead.
    """

    default_reason = "HEATMAP_OPERATOR"

    def __init__(self, message: str, *, node: str, op_type: str) -> None:
        super().__init__(message)
        self.node = node
        self.op_type = op_type
