"""The table of gradient rules, one for each operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.node import Node
from spyglass_export.gradcam.step import Step, unsupported

# Returns the gradients of an operator's inputs by their index.
Rule = Callable[[Step], Mapping[int, Cotangent]]

# What ONNX Runtime's optimiser joins several operators to.
_FUSED = "com.microsoft."

_RULES: dict[str, Rule] = {}
# Operators whose rule reads the gradients of all outputs, not only of the first.
_EVERY_OUTPUT: set[str] = set()
# Operators whose rule needs a gradient with as many rows as the batch has images.
_ROWS_ARE_IMAGES: set[str] = set()


def rule(*op_types: str, every_output: bool = False, rows_are_images: bool = False) -> Callable[[Rule], Rule]:
    """Register a rule for these operators.

    `every_output` says that the rule reads the gradients of all outputs. `rows_are_images` says that the
    rule does not allow several rows for a single image.
    """

    def enter(function: Rule) -> Rule:
        _RULES.update(dict.fromkeys(op_types, function))
        if every_output:
            _EVERY_OUTPUT.update(op_types)
        if rows_are_images:
            _ROWS_ARE_IMAGES.update(op_types)
        return function

    return enter


def reads_every_output(node: Node) -> bool:
    """Return whether the rule of a node's operator reads the gradients of all its outputs."""
    return node.op_type in _EVERY_OUTPUT


def needs_rows_of_images(node: Node) -> bool:
    """Return whether the rule of a node's operator needs as many rows as the batch has images."""
    return node.op_type in _ROWS_ARE_IMAGES


def has_rule(op_type: str) -> bool:
    """Return whether an operator has a gradient rule."""
    return op_type in _RULES


def rule_for(node: Node) -> Rule:
    """Return the rule of a node's operator. Raises UnsupportedHead if there is none."""
    if node.op_type.startswith(_FUSED):
        raise unsupported(node, "ONNX Runtime's optimiser wrote this operator; use the file from before")
    if node.op_type not in _RULES:
        raise unsupported(node, f"the operator {node.op_type} has no gradient rule")
    return _RULES[node.op_type]
