"""Gradients of sums of products, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spyglass_export.gradcam import UnsupportedHead, attach_gradcam
from spyglass_export.gradcam.rules.equation import Equation, read_equation

Draw = Callable[[Any], str]


def _sum(head: Any, equation: str, *operands: str) -> str:
    return head.node("Einsum", *operands, equation=equation)


def _attention(head: Any) -> str:
    alike = _sum(head, "bchw,bcij->bhwij", "features", head.node("Tanh", "features"))
    return _sum(head, "bhwij,bcij->bchw", head.node("Sigmoid", alike), "features")


EQUATIONS: dict[str, Draw] = {
    "mean of places": lambda h: _sum(h, "bchw->bc", "features"),
    "moved axes": lambda h: _sum(h, "b c h w -> b h w c", "features"),
    "no arrow": lambda h: _sum(h, "bchw,wk", "features", h.normal(5, 2)),
    "product with a matrix": lambda h: _sum(h, "bchw,kc->bkhw", "features", h.normal(4, 3)),
    "a letter of one weight alone": lambda h: _sum(h, "bchw,ck->bhw", "features", h.normal(3, 2)),
    "weights of each place": lambda h: _sum(h, "bchw,hw->bc", "features", h.normal(4, 5)),
    "attention": _attention,
    "three operands": lambda h: _sum(h, "bchw,ck,bdhw->bkd", "features", h.normal(3, 2), "features"),
    "ellipsis": lambda h: _sum(h, "bc...,ck->bk...", "features", h.normal(3, 2)),
    "ellipsis in several operands": lambda h: _sum(
        h, "...w,...w->...", "features", h.node("Exp", "features")
    ),
    "ellipsis that is broadcast": lambda h: _sum(h, "b...w,...w->b...", "features", h.normal(3, 1, 5)),
    "ellipsis without an arrow": lambda h: _sum(h, "...w,wk", "features", h.normal(5, 2)),
    "axes of size 1": lambda h: _sum(h, "...,...->...", h.node("GlobalAveragePool", "features"), "features"),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_the_gradient_of_a_sum_of_products_is_its_finite_difference(
    equation: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.classify(EQUATIONS[equation](head)), image())


READINGS: list[tuple[str, list[int], Equation]] = [
    ("ij,jk->ik", [2, 2], Equation(("ij", "jk"), "ik")),
    (" ij , jk ", [2, 2], Equation(("ij", "jk"), "ik")),
    ("ba", [2], Equation(("ba",), "ab")),
    ("...j,...j->...", [3, 2], Equation(("abj", "bj"), "ab")),
    ("...j", [3], Equation(("abj",), "abj")),
    ("i...->...", [1], Equation(("i",), "")),
]


@pytest.mark.parametrize(("text", "ranks", "expected"), READINGS)
def test_an_equation_has_a_letter_for_each_axis(text: str, ranks: list[int], expected: Equation) -> None:
    assert read_equation(text, ranks) == expected


def _square(head: Any) -> str:
    return head.node("Pad", "features", head.integers(0, 0, 0, 0, 0, 0, 1, 0))


def _less_the_batch(head: Any) -> str:
    return head.node("Sub", "features", _sum(head, "bchw->chw", "features"))


REFUSED: dict[str, tuple[Draw, str]] = {
    "a diagonal": (lambda h: _sum(h, "bchh->bch", _square(h)), "repeats a letter"),
    "a sum of images": (_less_the_batch, "mixes the images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_equation_without_a_gradient_is_refused(case: str, sketch: Callable[..., Any]) -> None:
    draw, reason = REFUSED[case]
    head = sketch()
    model = head.classify(head.node("Tanh", draw(head)))
    with pytest.raises(UnsupportedHead, match=reason):
        attach_gradcam(model, feature_map="features")
