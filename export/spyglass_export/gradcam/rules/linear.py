"""Matrix products. The rules transpose the gradient, so that no weight is copied."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, dense, sum_to
from spyglass_export.gradcam.opset_forms import squeeze, unsqueeze
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like, size_of
from spyglass_export.gradcam.step import Step


@rule("Gemm")
def general_product(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of αA'B' + βC; A' and B' are A and B, or their transposes."""
    gradient = dense(step.build, step.gradient)
    step.keep_images_apart(step.input(0), [0 if step.node.attribute("transA", 0) else 1])
    step.keep_images_apart(step.input(1), [1 if step.node.attribute("transB", 0) else 0])
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
    step.keep_images_apart(left, [left.rank - 1])
    step.keep_images_apart(right, [max(right.rank - 2, 0)])
    if left.rank == 1 or (right.rank == 1 and 1 in step.required):
        return _with_vectors(step, gradient, left, right)
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


def _with_vectors(step: Step, gradient: Cotangent, left: Sized, right: Sized) -> Mapping[int, Cotangent]:
    """Gradients of a product with a vector: as those of a row on the left, or of a column on the right."""
    build, added = step.build, []
    if left.rank == 1:
        left = Sized(unsqueeze(build, left.name, [0]), (1, *left.dims))
        added.append(-2)
    if right.rank == 1:
        right = Sized(unsqueeze(build, right.name, [1]), (*right.dims, 1))
        added.append(-1)
    rank = max(left.rank, right.rank)
    dims = list(gradient.of.dims)
    for axis in added:
        dims.insert(len(dims) if axis == -1 else rank - 2, 1)
    whole = Sized(gradient.of.name, tuple(dims))
    gradient = Cotangent(unsqueeze(build, gradient.name, [axis + rank for axis in added]), whole)
    gradients = {}
    if 0 in step.required:
        name = build.add("MatMul", gradient.name, _turned(step, right))
        gradients[0] = _as_vector(step, sum_to(build, Cotangent(name, _stack(whole, left)), left), 0)
    if 1 in step.required:
        name = build.add("MatMul", _turned(step, left), gradient.name)
        gradients[1] = _as_vector(step, sum_to(build, Cotangent(name, _stack(whole, right)), right), 1)
    return gradients


def _as_vector(step: Step, gradient: Cotangent, index: int) -> Cotangent:
    """The gradient of an operand, which is a vector if its rank is 1."""
    operand = step.input(index)
    if operand.rank > 1:
        return gradient
    return Cotangent(squeeze(step.build, gradient.name, [index]), operand)


def _turned(step: Step, matrix: Sized) -> str:
    """A stack of matrices, each transposed."""
    axes = list(range(matrix.rank))
    return step.build.add("Transpose", matrix.name, perm=[*axes[:-2], axes[-1], axes[-2]])


def _stack(product: Sized, operand: Sized) -> Sized:
    """An operand with all axes of the product's stack."""
    return Sized(operand.name, product.dims[:-2] + operand.dims[-2:])
