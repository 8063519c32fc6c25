"""Where a range of an output's axis lies in the inputs, for operators that keep its indices apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from spyglass_export.gradcam.rules.indexing import slices_of
from spyglass_export.gradcam.rules.reduced import axes_of
from spyglass_export.gradcam.sliced import AxisRange
from spyglass_export.gradcam.step import Step
from spyglass_export.gradcam.tensor_types import Dims

# The range of each input by index. An input without one is read whole by every index of the output.
Origins = Mapping[int, AxisRange]
_Finder = Callable[[Step, AxisRange], Origins | None]

_ACTIVATIONS = frozenset(
    {
        *("Celu", "Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu"),
        *("Selu", "Sigmoid", "Softplus", "Softsign", "Swish", "Tanh"),
    }
)
_ARITHMETIC = frozenset(
    {
        *("Abs", "Add", "Cast", "Div", "Dropout", "Erf", "Exp", "Identity", "Log", "Mean", "Mul", "Neg"),
        *("Pow", "Reciprocal", "Sqrt", "Sub", "Sum"),
    }
)


def origins_of(step: Step, within: AxisRange) -> Origins | None:
    """Return the ranges of the inputs that a range of the only output depends on.

    None if an index of the range depends on other indices of an input, or if that is not known.
    """
    finder = _FINDERS.get(step.node.op_type)
    return None if finder is None or len(step.gradients) > 1 else finder(step, within)


def _dims_out(step: Step) -> Dims:
    return step.view.dims(step.node.outputs[0])


def _broadcast(step: Step, within: AxisRange) -> Origins | None:
    """The same range of each operand that is not broadcast along the axis."""
    rank, found = len(_dims_out(step)), {}
    size = _dims_out(step)[within.axis]
    for index, name in enumerate(step.node.inputs):
        if not name:
            continue
        dims = step.view.dims(name)
        axis = within.axis - (rank - len(dims))
        if axis < 0 or dims[axis] == 1:
            continue
        if dims[axis] != size:
            return None
        found[index] = replace(within, axis=axis)
    return found


def _normalised(step: Step, within: AxisRange) -> Origins | None:
    """The same range, if the normalisation is over later axes."""
    rank = step.shape_of(0).rank
    first = step.node.attribute("axis", -1) % rank
    numbers = [step.shape_of(index).rank for index in (1, 2) if step.has_input(index)]
    later = within.axis < first and all(each <= rank - first for each in numbers)
    return {0: within} if later else None


def _softmax(step: Step, within: AxisRange) -> Origins | None:
    rank, old = step.shape_of(0).rank, step.build.opset < 13
    axis = step.node.attribute("axis", 1 if old else -1) % rank
    apart = within.axis < axis if old else within.axis != axis
    return {0: within} if apart else None


def _reduced(step: Step, within: AxisRange) -> Origins | None:
    rank, axes = step.shape_of(0).rank, axes_of(step)
    kept = [axis for axis in range(rank) if axis not in axes]
    axis = within.axis if len(_dims_out(step)) == rank else kept[within.axis]
    return None if axis in axes else {0: replace(within, axis=axis)}


def _product(step: Step, within: AxisRange) -> Origins | None:
    """The rows of the first operand, or the matrices of a stack; a range of columns is not followed."""
    rank = len(_dims_out(step))
    if min(step.shape_of(index).rank for index in (0, 1)) < 2 or within.axis == rank - 1:
        return None
    if within.axis < rank - 2:
        return _broadcast(step, within)
    return {0: replace(within, axis=step.shape_of(0).rank - 2)}


def _transposed(step: Step, within: AxisRange) -> Origins:
    perm = list(step.node.attribute("perm", range(step.shape_of(0).rank)[::-1]))
    return {0: replace(within, axis=perm[within.axis])}


def _refolded(step: Step, within: AxisRange) -> Origins | None:
    """The axis of the same size with as many numbers behind each index, or as many indices before it."""
    before, after = step.shape_of(0).dims, _dims_out(step)
    for axis, size in enumerate(before):
        if size != after[within.axis]:
            continue
        if _same_number(before[axis + 1 :], after[within.axis + 1 :]):
            return {0: replace(within, axis=axis)}
        if _same_number(before[:axis], after[: within.axis]):
            return {0: replace(within, axis=axis)}
    return None


def _same_number(one: Dims, other: Dims) -> bool:
    return None not in one and None not in other and math.prod(one) == math.prod(other)  # type: ignore[arg-type]


def _gathered(step: Step, within: AxisRange) -> Origins | None:
    rank, indices = step.shape_of(0).rank, step.shape_of(1).rank
    axis = step.node.attribute("axis", 0) % rank
    if axis <= within.axis < axis + indices:
        return None
    return {0: within if within.axis < axis else replace(within, axis=within.axis - indices + 1)}


def _cut_out(step: Step, within: AxisRange) -> Origins | None:
    axes = slices_of(step, step.shape_of(0).rank)
    return None if within.axis in axes else {0: within}


def _split(step: Step, within: AxisRange) -> Origins | None:
    return {0: within} if step.node.attribute("axis", 0) % step.shape_of(0).rank != within.axis else None


def _concatenated(step: Step, within: AxisRange) -> Origins | None:
    if step.node.attribute("axis") % len(_dims_out(step)) == within.axis:
        return None
    return dict.fromkeys(range(len(step.node.inputs)), within)


def _attention(step: Step, within: AxisRange) -> Origins | None:
    """The same queries; every query reads all keys and values."""
    rank = len(_dims_out(step))
    masked = step.has_input(3) or step.node.attribute("is_causal", 0)
    return {0: within} if rank == step.shape_of(0).rank and within.axis == rank - 2 and not masked else None


_FINDERS: Mapping[str, _Finder] = {
    **dict.fromkeys(_ACTIVATIONS | _ARITHMETIC, _broadcast),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _normalised),
    **dict.fromkeys(("LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare"), _reduced),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _refolded),
    "Attention": _attention,
    "Concat": _concatenated,
    "Gather": _gathered,
    "MatMul": _product,
    "Slice": _cut_out,
    "Split": _split,
    "Transpose": _transposed,
}
