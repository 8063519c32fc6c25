"""Equations of Einsum nodes: a letter for each axis of each operand and of the result."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

_ELLIPSIS = "..."


@dataclass(frozen=True)
class Equation:
    """The letters of each operand's axes and of the result's, one letter for an axis."""

    operands: tuple[str, ...]
    result: str


def read_equation(text: str, ranks: Sequence[int]) -> Equation:
    """Read an equation for operands of these ranks, and write unused letters for each ellipsis.

    Without an arrow the result has the letters that occur once, in alphabetical order, as ONNX defines it.
    """
    left, arrow, right = text.replace(" ", "").partition("->")
    terms = left.split(",")
    widths = [rank - len(_letters(term)) for term, rank in zip(terms, ranks, strict=True)]
    unused = [letter for letter in string.ascii_letters if letter not in text]
    axes = "".join(unused[: max(widths, default=0)])
    operands = tuple(
        term.replace(_ELLIPSIS, axes[len(axes) - width :]) for term, width in zip(terms, widths, strict=True)
    )
    result = right.replace(_ELLIPSIS, axes) if arrow else axes + _once(left)
    return Equation(operands, result)


def _letters(term: str) -> str:
    return term.replace(_ELLIPSIS, "")


def _once(left: str) -> str:
    letters = _letters(left).replace(",", "")
    return "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
