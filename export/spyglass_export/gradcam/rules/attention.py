"""Attention in one operator, opset 23."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from spyglass_export.gradcam.cotangent import Cotangent, dense
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like
from spyglass_export.gradcam.step import Step

_QUERY, _KEY, _VALUE, _MASK = range(4)


@rule("Attention")
def attention(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of PV with P = softmax(s·QKᵀ + mask): Pᵀg for V, s·dK for Q and s·dᵀQ for K.

    Here d = P·(gVᵀ - Σ gVᵀ·P). Keys and values must have as many heads as queries.
    """
    _check(step)
    build = step.build
    heads = _heads(step, _QUERY)
    operands = [step.input(index) for index in (_QUERY, _KEY, _VALUE)]
    query, key, value = (_by_head(step, operand.name, operand, heads) for operand in operands)
    gradient = _by_head(step, dense(build, step.gradient).name, step.gradient.of, heads)
    scale = build.floats(step.node.attribute("scale") or 1 / math.sqrt(_size_of_head(step)))
    shares = _shares(step, query, key, scale)
    of_shares = build.add("MatMul", gradient, _turned(step, value))
    mean = reduce(build, "ReduceSum", build.add("Mul", of_shares, shares), [3])
    slope = build.add("Mul", build.add("Mul", shares, build.add("Sub", of_shares, mean)), scale)
    products = {
        _QUERY: lambda: build.add("MatMul", slope, key),
        _KEY: lambda: build.add("MatMul", _turned(step, slope), query),
        _VALUE: lambda: build.add("MatMul", _turned(step, shares), gradient),
    }
    return {
        index: Cotangent(_as_input(step, products[index](), index), step.input(index))
        for index in step.required
        if index in products
    }


def _check(step: Step) -> None:
    if step.has_input(4) or step.node.attribute("softcap", 0.0):
        raise step.unsupported("its cache of earlier keys, or its softcap, has no gradient rule")
    if _heads(step, _QUERY) != _heads(step, _KEY):
        raise step.unsupported("several heads of its queries share a head of its keys")


def _heads(step: Step, index: int) -> int:
    source = step.input(index)
    if source.rank == 4:
        return step.known_size(source, 1)
    return int(step.node.attribute("q_num_heads" if index == _QUERY else "kv_num_heads"))


def _size_of_head(step: Step) -> int:
    query = step.input(_QUERY)
    size = step.known_size(query, query.rank - 1)
    return size if query.rank == 4 else size // _heads(step, _QUERY)


def _by_head(step: Step, name: str, like: Sized, heads: int) -> str:
    """A tensor of the shape of `like` as [batch, heads, tokens, numbers]."""
    if like.rank == 4:
        return name
    tokens, numbers = step.known_size(like, 1), step.known_size(like, 2)
    split = reshape(step.build, name, [-1, tokens, heads, numbers // heads])
    return step.build.add("Transpose", split, perm=[0, 2, 1, 3])


def _as_input(step: Step, name: str, index: int) -> str:
    """A gradient [batch, heads, tokens, numbers] in the shape of an input."""
    source = step.input(index)
    if source.rank == 4:
        return name
    joined = step.build.add("Transpose", name, perm=[0, 2, 1, 3])
    return reshape(step.build, joined, rows_like(step.build, source))


def _shares(step: Step, query: str, key: str, scale: str) -> str:
    build = step.build
    alike = build.add("Mul", build.add("MatMul", query, _turned(step, key)), scale)
    if step.has_input(_MASK):
        alike = build.add("Add", alike, _mask(step))
    if step.node.attribute("is_causal", 0):
        queries, keys = (step.known_size(step.input(index), step.input(index).rank - 2) for index in (0, 1))
        later = np.triu(np.full((queries, keys), -np.inf, np.float32), 1)
        alike = build.add("Add", alike, build.floats(later))
    return build.add("Softmax", alike, axis=-1)


def _mask(step: Step) -> str:
    """The mask as numbers to add: minus infinity where a boolean mask is false."""
    name = step.node.inputs[_MASK]
    if step.view.element(name) != TensorProto.BOOL:
        return step.input(_MASK).name
    return step.build.add("Where", name, step.build.floats(0), step.build.floats(-np.inf))


def _turned(step: Step, name: str) -> str:
    return step.build.add("Transpose", name, perm=[0, 1, 3, 2])
