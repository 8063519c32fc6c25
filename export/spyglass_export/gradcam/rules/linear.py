"""Matrix products. The rules transpose the gradient, so that no weight is copied."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense, sum_to
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like, size_of
from spyglass_export.gradcam.step import Step


@rule("Gemm")
def general_product(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of αA'B' + βC; A' and B' are A and B, or their transposes."""
    gradient = dense(step.build, step.gradient)
    writers = {0: _left_of_gemm, 1: _right_of_gemm, 2: _offset_of_gemm}
    return {index: writers[index](step, gradient) for index in step.required}


def _left_of_gemm(step: Step, gradient: Cotangent) -> Cotangent:
    g, other, alpha = gradient.name, step.input(1).name, step.node.attribute("alpha", 1.0)
    turned = step.node.attribute("transB", 0)
    if step.node.attribute("transA", 0):
        name = step.build.add("Gemm", other, g, alpha=alpha, transA=turned, transB=1)
    else:
        name = step.build.add("Gemm", g, other, alpha=alpha, transB=1 - turned)
    return Cotangent(name, step.input(0))


def _right_of_gemm(step: Step, gradient: Cotangent) -> Cotangent:
    g, other, alpha = gradient.name, step.input(0).name, step.node.attribute("alpha", 1.0)
    turned = step.node.attribute("transA", 0)
    if step.node.attribute("transB", 0):
        name = step.build.add("Gemm", g, other, alpha=alpha, transA=1, transB=turned)
    else:
        name = step.build.add("Gemm", other, g, alpha=alpha, transA=1 - turned)
    return Cotangent(name, step.input(1))


def _offset_of_gemm(step: Step, gradient: Cotangent) -> Cotangent:
    name = step.build.add("Mul", gradient.name, step.build.floats(step.node.attribute("beta", 1.0)))
    return sum_to(step.build, Cotangent(name, gradient.of), step.input(2))


@rule("MatMul")
def product(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of XY: gYᵀ for X and Xᵀg for Y, summed over the broadcast axes of a stack."""
    gradient = dense(step.build, step.gradient)
    left, right = step.input(0), step.input(1)
    if left.rank == 1 or (right.rank == 1 and 1 in step.required):
        raise step.unsupported("its operands must be matrices, and one of them is a vector")
    gradients = {}
    if 0 in step.required:
        gradients[0] = _left_of_product(step, gradient, left, right)
    if 1 in step.required:
        name = step.build.add("MatMul", _turned(step, left), gradient.name)
        gradients[1] = sum_to(step.build, Cotangent(name, _stack(gradient.of, right)), right)
    return gradients


def _left_of_product(step: Step, gradient: Cotangent, left: Sized, right: Sized) -> Cotangent:
    build = step.build
    if right.rank == 1:
        column = unsqueeze(build, gradient.name, [left.rank - 1])
        return Cotangent(build.add("Mul", column, right.name), left)
    if right.rank > 2:
        name = build.add("MatMul", gradient.name, _turned(step, right))
        return sum_to(build, Cotangent(name, _stack(gradient.of, left)), left)
    if left.rank == 2:
        return Cotangent(build.add("Gemm", gradient.name, right.name, transB=1), left)
    flat = reshape(build, gradient.name, [-1, size_of(build, right, 1)])
    name = build.add("Gemm", flat, right.name, transB=1)
    return Cotangent(reshape(build, name, rows_like(build, left)), left)


def _turned(step: Step, matrix: Sized) -> str:
    """A stack of matrices, each transposed."""
    axes = list(range(matrix.rank))
    return step.build.add("Transpose", matrix.name, perm=[*axes[:-2], axes[-1], axes[-2]])


def _stack(product: Sized, operand: Sized) -> Sized:
    """An operand with all axes of the product's stack."""
    return Sized(operand.name, product.dims[:-2] + operand.dims[-2:])
