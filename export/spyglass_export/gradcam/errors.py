"""Errors about the heatmap of a classifier.

ModelError
└── HeatmapError
    ├── ScoresError         the class scores are not found, or are not class scores
    ├── FeatureMapError     the feature map is not found, is not spatial, or does not influence the scores
    └── UnsupportedHead     a node between the two cannot be differentiated
"""

from __future__ import annotations

import enum

from spyglass_contract.errors import ModelError


class Advice(enum.Enum):
    """A choice that may avoid a HeatmapError. The value is its wording for callers of Python."""

    NAME_SCORES = "name the tensor of class scores with scores=…"
    NAME_FEATURE_MAP = "name the feature map with feature_map=…"
    LATER_FEATURE_MAP = "choose a feature map behind this node with feature_map=…"
    EARLIER_SCORES = "choose scores before this node with scores=…"
    NO_GRADIENT = "choose method='eigencam' or 'scorecam', which need no gradient"


class HeatmapError(ModelError):
    """This model cannot have the requested heatmap.

    `problem` says why; `advice` lists what the caller may choose instead. The message holds both.
    """

    default_reason = "HEATMAP_IMPOSSIBLE"

    def __init__(self, problem: str, *advice: Advice, reason: str = "") -> None:
        super().__init__(with_advice(problem, [each.value for each in advice]), reason=reason)
        self.problem = problem
        self.advice = advice


def with_advice(problem: str, choices: list[str]) -> str:
    """Return the problem, and behind a semicolon the choices that may avoid it."""
    return f"{problem}; {', or '.join(choices)}" if choices else problem


class ScoresError(HeatmapError):
    """The graph does not show which tensor holds the class scores, or the named tensor is not one."""

    default_reason = "HEATMAP_SCORES"


class FeatureMapError(HeatmapError):
    """The feature map is missing or not spatial, or the scores do not depend on it."""

    default_reason = "HEATMAP_FEATURE_MAP"


class UnsupportedHead(HeatmapError):
    """This package has no gradient for a node between the feature map and the scores.

    `node` and `op_type` name the node.
    """

    default_reason = "HEATMAP_OPERATOR"

    def __init__(self, problem: str, *, node: str, op_type: str) -> None:
        super().__init__(problem, Advice.LATER_FEATURE_MAP, Advice.EARLIER_SCORES, Advice.NO_GRADIENT)
        self.node = node
        self.op_type = op_type
