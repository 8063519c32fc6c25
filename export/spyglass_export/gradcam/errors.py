"""Errors about the heatmap of a classifier.

ModelError
└── HeatmapError
    ├── ScoresError         the class scores are not found, or are not class scores
    ├── FeatureMapError     the feature map is not found, is not spatial, or does not influence the scores
    └── UnsupportedHead     a node between the two cannot be differentiated
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from spyglass_contract.errors import ModelError


class Advice(enum.Enum):
    """A choice that may avoid a HeatmapError.

    The value is its wording for callers of Python; "…" stands for the name of a tensor.
    """

    NAME_SCORES = "name the tensor of class scores with scores=…"
    NAME_FEATURE_MAP = "name the feature map with feature_map=…"
    OTHER_FEATURE_MAP = "choose, for example, …"
    LATER_FEATURE_MAP = "choose a feature map behind this node with feature_map=…"
    EARLIER_SCORES = "choose scores before this node with scores=…"
    NO_GRADIENT = "choose method='eigencam' or 'scorecam', which need no gradient"

    def wording(self, tensor: str | None) -> str:
        """Return the choice in words, with the name of the tensor to choose if it is known."""
        return self.value if tensor is None else self.value.replace("…", f"'{tensor}'")


class HeatmapError(ModelError):
    """This model cannot have the requested heatmap.

    `problem` says why; `advice` lists what the caller may choose instead, and `tensors` names the tensor to
    choose for some of it. The message holds all three.
    """

    default_reason = "HEATMAP_IMPOSSIBLE"

    def __init__(
        self,
        problem: str,
        *advice: Advice,
        reason: str = "",
        tensors: Mapping[Advice, str] | None = None,
    ) -> None:
        self.problem = problem
        self.advice = advice
        self.tensors = dict(tensors or {})
        choices = [each.wording(self.tensors.get(each)) for each in advice]
        super().__init__(with_advice(problem, choices), reason=reason)


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

    `node` and `op_type` name the node. See `advice` for the choices that avoid the error.
    """

    default_reason = "HEATMAP_OPERATOR"

    def __init__(
        self,
        problem: str,
        *advice: Advice,
        node: str,
        op_type: str,
        tensors: Mapping[Advice, str] | None = None,
    ) -> None:
        super().__init__(problem, *advice, tensors=tensors)
        self.node = node
        self.op_type = op_type
