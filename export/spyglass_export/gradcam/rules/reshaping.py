"""Operators that keep every number and change at most its position or its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spyglass_export.gradcam.cotangent import Cotangent, dense, sum_to
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import reshape, rows_like
from spyglass_export.gradcam.step import Step


@rule("Cast", "CastLike", "Dropout", "Identity")
def same(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient unchanged."""
    return {0: replace(step.gradient, of=step.shape_of(0))}


@rule("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def refold(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient in the shape of the input."""
    gradient = dense(step.build, step.gradient)
    before = step.shape_of(0)
    return {0: Cotangent(reshape(step.build, gradient.name, rows_like(step.build, before)), before)}


@rule("Transpose")
def transpose(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient with its axes moved back."""
    before = step.shape_of(0)
    perm = list(step.node.attribute("perm", range(before.rank)[::-1]))
    name = step.build.add(
        "Transpose", step.gradient.name, perm=[perm.index(axis) for axis in range(before.rank)]
    )
    return {0: Cotangent(name, before, frozenset(perm[axis] for axis in step.gradient.spread))}


@rule("Expand")
def expand(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient summed over the repeated axes."""
    return {0: sum_to(step.build, step.gradient, step.shape_of(0))}
