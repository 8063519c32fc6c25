"""Products along axes: with weights, and of two activations, as in attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce as fold

import numpy as np

from spyglass_export.gradcam.places.call import Call, Untraceable
from spyglass_export.gradcam.places.combining import beside, combined, conflicts
from spyglass_export.gradcam.places.contraction import contracted, summed
from spyglass_export.gradcam.places.located import Located, Shape
from spyglass_export.gradcam.places.traced import Traced, traced_mixed, traced_nowhere


@dataclass(frozen=True)
class Operand:
    """An operand with one axis for each label of the product, of size 1 for labels that it does not have."""

    traced: Traced
    depends: bool


def product(operands: Sequence[Operand], axes: Sequence[int]) -> Traced:
    """Return the places of a product of operands of one rank, summed along axes that stay with size 1.

    A product with weights keeps the place of numbers that have one place, and finds the patches of a coarser
    grid. In a product of two activations, each result belongs to the operand that has a single place for
    it: the output of attention lies at its query. If both have one, and these differ, the result is a
    matrix that compares places.
    """
    fed = sum(operand.depends for operand in operands)
    return fold(
        _of_two, [summed(operand.traced, axes, blocks=fed == 1 and operand.depends) for operand in operands]
    )


def matmul(call: Call, left: int = 0, right: int = 1) -> list[Traced]:
    """MatMul of the inputs `left` and `right`."""
    one, other = call.input(left), call.input(right)
    if min(len(one.shape), len(other.shape)) < 1:
        raise Untraceable(f"{call.node.label} of a scalar")
    vectors = len(one.shape) == 1, len(other.shape) == 1
    rank = max(len(one.shape), len(other.shape), 2)
    # Rows, the summed axis, columns.
    first = _widened((1, *one.shape) if vectors[0] else one.shape, rank)
    second = _widened((*other.shape, 1) if vectors[1] else other.shape, rank)
    operands = [
        Operand(_shaped(one, (*first, 1)), call.depends[left]),
        Operand(_shaped(other, (*second[:-2], 1, *second[-2:])), call.depends[right]),
    ]
    result = product(operands, [rank - 1])
    dropped = {rank - 1} | ({rank - 2} if vectors[0] else set()) | ({rank} if vectors[1] else set())
    return [_shaped(result, tuple(size for axis, size in enumerate(result.shape) if axis not in dropped))]


def _widened(shape: Shape, rank: int) -> Shape:
    return (1,) * (rank - len(shape)) + shape


def gemm(call: Call) -> list[Traced]:
    """Gemm: a product of two matrices, and a bias."""
    one, other = call.input(0), call.input(1)
    if call.node.attribute("transA", 0):
        one = _turned(one)
    if call.node.attribute("transB", 0):
        other = _turned(other)
    rows, inner = one.shape
    operands = [
        Operand(_shaped(one, (rows, inner, 1)), call.depends[0]),
        Operand(_shaped(other, (1, *other.shape)), call.depends[1]),
    ]
    result = product(operands, [1])
    result = _shaped(result, (result.shape[0], result.shape[2]))
    bias = call.optional(2)
    return [result if bias is None else combined([result, bias])]


def einsum(call: Call) -> list[Traced]:
    """Einsum of any number of operands; a diagonal of an operand is a mixture."""
    equation = str(call.node.attribute("equation")).replace(" ", "")
    shapes = [call.input(index).shape for index in range(len(call.inputs))]
    terms, result = _labels(equation, [len(shape) for shape in shapes])
    if any(len(set(term)) < len(term) for term in terms):
        return [traced_mixed(call.shape)]
    rest = sorted({label for term in terms for label in term} - set(result))
    labels = [*result, *rest]
    operands = [
        Operand(_with_labels(call.input(index), term, labels), call.depends[index])
        for index, term in enumerate(terms)
    ]
    found = product(operands, range(len(result), len(labels)))
    return [_shaped(found, found.shape[: len(result)])]


def _labels(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """The labels of each operand's axes and of the result's; those of an ellipsis are numbers."""
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    dotted = [rank - len(term.replace("...", "")) for term, rank in zip(terms, ranks, strict=True)]
    # The axes of an ellipsis line up at the end.
    widest = max(dotted)
    spelled = [_spelled(term, widest, here) for term, here in zip(terms, dotted, strict=True)]
    if arrow:
        return spelled, _spelled(right, widest, widest)
    letters = left.replace("...", "").replace(",", "")
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return spelled, [*(str(number) for number in range(widest)), *once]


def _spelled(term: str, widest: int, here: int) -> list[str]:
    before, dots, after = term.partition("...")
    return [*before, *(str(number) for number in range(widest - here, widest) if dots), *after]


def _with_labels(operand: Traced, term: Sequence[str], labels: Sequence[str]) -> Traced:
    order = [term.index(label) for label in labels if label in term]
    sizes = [operand.shape[term.index(label)] if label in term else 1 for label in labels]
    return _shaped(_turned(operand, order), tuple(sizes))


def _of_two(one: Traced, other: Traced) -> Traced:
    shape = np.broadcast_shapes(one.shape, other.shape)
    if one.others is None and other.others is None:
        if conflicts(one.places, other.places, shape):
            return Traced(_spread(one.places, shape), _spread(other.places, shape))
        return Traced(replace(beside(one.places, other.places, shape), of_pixels=False))
    return combined([one, other])


def _spread(places: Located, shape: Shape) -> Located:
    return Located(places.base, shape, places.grid)


def _shaped(operand: Traced, shape: Shape) -> Traced:
    """The operand with axes of size 1 added or dropped."""
    return operand.moved(lambda full: full.reshape(shape))


def _turned(operand: Traced, order: Sequence[int] | None = None) -> Traced:
    return operand.moved(lambda full: np.transpose(full, order))


def attention(call: Call) -> list[Traced]:
    """Attention of opset 23: each result lies at its query."""
    query = call.input(0).places
    at_query = contracted(query, [len(query.shape) - 1], blocks=False)
    shapes = call.infer_shapes()
    first = Traced(Located(at_query.base, shapes[0], at_query.grid))
    return [first, *(traced_nowhere(shape) for shape in shapes[1:])]
