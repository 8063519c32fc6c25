"""Sums of products written as an equation; their gradients are such sums again."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.equation import Equation, read_equation
from spyglass_export.gradcam.sizes import Sized, batch_axis
from spyglass_export.gradcam.step import Step


@rule("Einsum")
def sum_of_products(step: Step) -> Mapping[int, Cotangent]:
    """Return for each operand the sum of products of the gradient and the other operands.

    The gradient is the same along an axis whose letter occurs in no other operand and not in the result.
    """
    operands = [step.input(index) for index in range(len(step.node.inputs))]
    equation = read_equation(step.node.attribute("equation"), [operand.rank for operand in operands])
    for operand, letters in zip(operands, equation.operands, strict=True):
        if len(set(letters)) < len(letters):
            raise step.unsupported("its equation repeats a letter in one operand")
        batch = batch_axis(operand.dims)
        if batch is not None and letters[batch] not in equation.result:
            raise step.unsupported("it mixes the images of a batch")
    gradient = dense(step.build, step.gradient)
    return {index: _of_operand(step, equation, operands, gradient, index) for index in step.required}


def _of_operand(
    step: Step, equation: Equation, operands: list[Sized], gradient: Cotangent, index: int
) -> Cotangent:
    others = [other for other in range(len(operands)) if other != index]
    factors = [(equation.result, gradient.name)]
    factors += [(equation.operands[other], operands[other].name) for other in others]
    elsewhere = set().union(*(letters for letters, _ in factors))
    sizes = _sizes(equation, operands)
    operand, letters = operands[index], equation.operands[index]
    # Along a broadcast axis the gradient is summed; along a letter of this operand alone it is spread.
    broadcast = [axis for axis, size in enumerate(operand.dims) if size == 1 and sizes[letters[axis]] != 1]
    spread = [axis for axis, letter in enumerate(letters) if letter not in elsewhere]
    added = sorted({*broadcast, *spread})
    kept = "".join(letter for axis, letter in enumerate(letters) if axis not in added)
    name = _product(step, factors, kept)
    if added:
        name = unsqueeze(step.build, name, added)
    return Cotangent(name, operand, frozenset(spread))


def _sizes(equation: Equation, operands: list[Sized]) -> dict[str, int | None]:
    """The size of each letter's axis: 1 only if it is 1 in every operand."""
    sizes: dict[str, int | None] = {}
    for operand, letters in zip(operands, equation.operands, strict=True):
        for letter, size in zip(letters, operand.dims, strict=True):
            if sizes.get(letter, 1) == 1:
                sizes[letter] = size
    return sizes


def _product(step: Step, factors: list[tuple[str, str]], kept: str) -> str:
    if len(factors) == 1 and factors[0][0] == kept:
        return factors[0][1]
    equation = f"{','.join(letters for letters, _ in factors)}->{kept}"
    return step.build.add("Einsum", *(name for _, name in factors), equation=equation)
