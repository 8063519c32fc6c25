"""The table of rules: what each operator sends back to its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.step import Step, unsupported

# What an operator sends back: the gradients of its inputs by their index.
Rule = Callable[[Step], Mapping[int, Cotangent]]

_RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    """Enters a rule for these operators into the table."""

    def enter(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(op_types, function))
        return function

    return enter


def rule_for(node: Node) -> Rule:
    """The rule of a node's operator. Raises UnsupportedHead where there is none."""
    if node.op_type not in _RULES:
        raise unsupported(node, f"the operator {node.op_type} is not among those with a rule")
    return _RULES[node.op_type]
