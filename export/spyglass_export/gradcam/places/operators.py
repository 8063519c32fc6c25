"""Which rule follows each operator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from spyglass_export.gradcam.places.call import Call
from spyglass_export.gradcam.places.combining import combined
from spyglass_export.gradcam.places.contraction import contracted
from spyglass_export.gradcam.places.grid import MIXED, Numbers
from spyglass_export.gradcam.places.joining import concat, pad, scatter_elements, scatter_nd
from spyglass_export.gradcam.places.located import mixed
from spyglass_export.gradcam.places.moving import MOVES, Move
from spyglass_export.gradcam.places.products import attention, einsum, gemm, matmul
from spyglass_export.gradcam.places.reductions import along_axis, reduction
from spyglass_export.gradcam.places.traced import Traced, traced_mixed, traced_nowhere
from spyglass_export.gradcam.places.windows import convolution, global_pooling, pooling, resize

Follow = Callable[[Call], list[Traced]]

# Each number of the result is at the place of the number of the first input that it stands for.
# Normalisations read other numbers too, but only to scale.
_KEEPING = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization Bernoulli BitwiseNot Cast CastLike Ceil Celu "
    "Clip Cos Cosh DequantizeLinear Dropout DynamicQuantizeLinear Elu Erf Exp Floor Gelu GroupNormalization "
    "Hardmax HardSigmoid HardSwish Identity InstanceNormalization IsInf IsNaN LRN LayerNormalization "
    "LeakyRelu Log LpNormalization MeanVarianceNormalization Mish Neg Not QuantizeLinear "
    "RMSNormalization Reciprocal Relu RotaryEmbedding Round Selu Shrink Sigmoid Sign Sin Sinh Softplus "
    "Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu com.microsoft.FastGelu com.microsoft.Gelu "
    "com.microsoft.QuickGelu"
)
_ELEMENTWISE = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max "
    "Mean Min Mod Mul Or PRelu Pow Sub Sum Xor com.microsoft.BiasGelu"
)
_REDUCTIONS = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare"
)


def follow(call: Call) -> list[Traced]:
    """Return the outputs of a node. Raises Untraceable, or ValueError for shapes that do not fit."""
    return _RULES.get(call.node.op_type, _unknown)(call)


def _keep(call: Call) -> list[Traced]:
    operand = call.input(0)
    outputs = len(call.node.outputs)
    rest = [traced_nowhere(shape) for shape in call.infer_shapes()[1:]] if outputs > 1 else []
    return [Traced(operand.places, operand.others), *rest]


def _softmax(call: Call) -> list[Traced]:
    """Softmax: over places it makes shares of attention, which are no map; over channels it is one."""
    operand = call.input(0)
    if operand.others is not None or operand.places.grid is None:
        return _keep(call)
    axes = _softmax_axes(call)
    over = contracted(operand.places, axes, blocks=False)
    several = (over.base == MIXED) & (operand.places.base.max(axis=tuple(axes), keepdims=True) >= 0)
    return [Traced(operand.places, mixed(operand.shape) if several.any() else None)]


def _softmax_axes(call: Call) -> list[int]:
    """The axes along which the results add up to 1: before opset 13, all axes from `axis` on."""
    rank = len(call.input(0).shape)
    if call.opset < 13:
        return list(range(call.node.attribute("axis", 1) % rank, rank))
    return [call.node.attribute("axis", -1) % rank]


def _combine(call: Call) -> list[Traced]:
    return [combined([operand for operand in call.inputs if operand is not None])]


def _where(call: Call) -> list[Traced]:
    """Where: the condition chooses, but gives no place of its own."""
    chosen = combined([call.input(1), call.input(2)])
    return [combined([chosen, traced_nowhere(call.input(0).shape)])]


def _quantised_sum(call: Call) -> list[Traced]:
    return [combined([call.input(0), call.input(3)])]


def _move(call: Call) -> list[Traced]:
    operand = call.input(0)
    if call.node.op_type.startswith("Gather") and call.input(1).value is None:
        return _unknown(call)
    move = MOVES[call.node.op_type](call)
    return [operand.moved(partial(_output, move, index)) for index in range(len(call.node.outputs))]


def _output(move: Move, index: int, full: Numbers) -> Numbers:
    return move(full)[index]


def _unknown(call: Call) -> list[Traced]:
    """An operator without a rule mixes all places."""
    make = traced_mixed if any(call.depends) else traced_nowhere
    return [make(shape) for shape in call.infer_shapes()]


def _no_places(call: Call) -> list[Traced]:
    return [traced_nowhere(shape) for shape in call.infer_shapes()]


_RULES: dict[str, Follow] = {
    **dict.fromkeys(_KEEPING.split(), _keep),
    **dict.fromkeys(_ELEMENTWISE.split(), _combine),
    **dict.fromkeys(_REDUCTIONS.split(), reduction),
    **dict.fromkeys(MOVES, _move),
    **dict.fromkeys(("AveragePool", "LpPool", "MaxPool"), pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"), global_pooling),
    **dict.fromkeys(("CumSum", "TopK"), along_axis),
    **dict.fromkeys(("ArgMax", "ArgMin"), _no_places),
    **dict.fromkeys(("Conv", "ConvInteger", "ConvTranspose", "com.microsoft.FusedConv"), convolution),
    "Attention": attention,
    "Concat": concat,
    "Einsum": einsum,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul,
    "Pad": pad,
    "QLinearConv": partial(convolution, weight=3),
    "QLinearMatMul": partial(matmul, right=3),
    "Resize": resize,
    "LogSoftmax": _softmax,
    "ScatterElements": scatter_elements,
    "ScatterND": scatter_nd,
    "Softmax": _softmax,
    "Where": _where,
    "com.microsoft.QLinearAdd": _quantised_sum,
}
