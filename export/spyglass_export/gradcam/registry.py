"""The table of gradient rules, one for each operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.step import Step, unsupported

# Returns the gradients of an operator's inputs by their index.
Rule = Callable[[Step], Mapping[int, Cotangent]]

_RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Register a rule for these operators."""

    def enter(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(op_types, function))
        return function

    return enter


def rule_for(node: Node) -> Rule:
    """Return the rule of a node's operator. Raises UnsupportedHead if there is none."""
    if node.op_type not in _RULES:
        raise unsupported(node, f"the operator {node.op_type} has no gradient rule")
    return _RULES[node.op_type]
