"""Random heads, compared with central differences of ONNX's reference implementation in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass_export.gradcam import attach_gradcam

if tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 23):
    pytest.skip("onnx before 1.23 has other errors in its reference implementation", allow_module_level=True)

CHANNELS, HEIGHT, WIDTH = DIMS = (4, 4, 5)
CLASSES = 3
_STEP = 1e-6

Layer = Callable[[Any, str], str]


def _conv(head: Any, x: str, *kernel: int, **attributes: Any) -> str:
    weight = head.weight(head.random.normal(size=(CHANNELS, *kernel)) / np.sqrt(np.prod(kernel)))
    return head.node("Conv", x, weight, head.normal(CHANNELS), **attributes)


def _batch_normalisation(head: Any, x: str) -> str:
    if head.opset < 14:
        # The reference implementation treats the older operator as if in training.
        return head.node("Add", head.node("Mul", x, head.normal(CHANNELS, 1, 1)), head.normal(CHANNELS, 1, 1))
    numbers = [head.normal(CHANNELS) for _ in range(3)]
    return head.node("BatchNormalization", x, *numbers, head.weight([0.5, 1, 2, 3]))


def _group_normalisation(head: Any, x: str) -> str:
    if head.opset < 18:
        return head.node("InstanceNormalization", x, head.normal(CHANNELS), head.normal(CHANNELS))
    numbers = [head.normal(2 if head.opset < 21 else CHANNELS) for _ in range(2)]
    return head.node("GroupNormalization", x, *numbers, num_groups=2)


def _excited(head: Any, x: str) -> str:
    squeezed = head.node("Relu", _conv(head, head.node("GlobalAveragePool", x), CHANNELS, 1, 1))
    return head.node("Mul", x, head.node("Sigmoid", _conv(head, squeezed, CHANNELS, 1, 1)))


def _gelu_written_out(head: Any, x: str) -> str:
    """GELU by tanh, because the reference's Erf rounds to float32."""
    cube = head.node("Mul", head.node("Pow", x, head.weight(3.0)), head.weight(0.044715))
    bent = head.node("Mul", head.node("Add", x, cube), head.weight(np.sqrt(2 / np.pi)))
    return head.node("Mul", head.node("Mul", x, _plus(head, head.node("Tanh", bent), 1)), head.weight(0.5))


def _plus(head: Any, x: str, number: float) -> str:
    return head.node("Add", x, head.weight(number))


def _channels_last_normalisation(head: Any, x: str) -> str:
    """Normalisation over the channels of each place, as exporters write that of ConvNeXt."""
    last = head.node("Transpose", x, perm=[0, 2, 3, 1])
    centred = head.node("Sub", last, head.with_axes("ReduceMean", last, [-1], 18))
    variance = head.with_axes("ReduceMean", head.node("Mul", centred, centred), [-1], 18)
    normal = head.node("Div", centred, head.node("Sqrt", _plus(head, variance, 1e-2)))
    return head.node("Transpose", head.node("Mul", normal, head.normal(CHANNELS)), perm=[0, 3, 1, 2])


def _halves_changed(head: Any, x: str) -> str:
    halves = [
        head.node("Slice", x, *(head.integers(number) for number in (start, start + 2, 1)))
        for start in (0, 2)
    ]
    return head.node("Concat", halves[1], head.node("Neg", halves[0]), axis=1)


ACTIVATIONS: list[Layer] = [
    lambda h, x: h.node("Relu", x),
    lambda h, x: h.node("LeakyRelu", x, alpha=0.2),
    lambda h, x: h.node("Elu", x, alpha=0.7),
    lambda h, x: h.node("Selu", x),
    lambda h, x: h.node("Clip", x, h.weight(-0.4), h.weight(0.6)),
    lambda h, x: h.node("HardSigmoid", x, alpha=0.3),
    lambda h, x: h.node("Mul", x, h.node("HardSigmoid", _plus(h, x, 0.1), alpha=0.3)),
    lambda h, x: h.node("Sigmoid", x),
    lambda h, x: h.node("Tanh", x),
    lambda h, x: h.node("Softplus", x),
    lambda h, x: h.node("Mul", x, h.node("Sigmoid", x)),
    _gelu_written_out,
    lambda h, x: h.node("Identity", h.node("Dropout", x)),
    lambda h, x: h.node("Div", x, _plus(h, h.node("Abs", x), 1.5)),
    lambda h, x: h.node("Sub", h.weight(0.3), h.node("Mul", x, h.node("Tanh", x))),
]

# Each keeps the number of channels.
SPATIAL: list[Layer] = [
    lambda h, x: _conv(h, x, CHANNELS, 1, 1),
    lambda h, x: _conv(h, x, CHANNELS, 3, 3, pads=[1, 1, 1, 1]),
    lambda h, x: _conv(h, x, 2, 3, 3, group=2, strides=[2, 1], pads=[1, 1, 1, 1]),
    lambda h, x: _conv(h, x, 1, 3, 3, group=CHANNELS, auto_pad="SAME_UPPER", strides=[2, 2]),
    _batch_normalisation,
    _group_normalisation,
    _channels_last_normalisation,
    lambda h, x: h.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    lambda h, x: h.node("MaxPool", x, kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    lambda h, x: h.node("AveragePool", x, kernel_shape=[2, 2], strides=[1, 2], pads=[0, 1, 1, 1]),
    lambda h, x: h.node(
        "AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    lambda h, x: h.node("Pad", x, h.integers(0, 0, 1, 0, 0, 0, 2, 1)),
    lambda h, x: h.node("Add", x, _conv(h, x, CHANNELS, 3, 3, pads=[1, 1, 1, 1])),
    _excited,
    _halves_changed,
]


def _flat(head: Any, x: str) -> str:
    return head.node("Flatten", x, axis=1)


def _length_1(head: Any, x: str) -> str:
    mean = _flat(head, head.node("GlobalAveragePool", x))
    return head.node("Div", mean, _plus(head, head.with_axes("ReduceL2", mean, [1], 18), 1e-2))


def _attended(head: Any, x: str) -> str:
    rows = head.node("Reshape", x, head.integers(0, CHANNELS, -1))
    product = head.node("Mul", rows, head.node("Softmax", rows, axis=2))
    return head.with_axes("ReduceSum", product, [2], 13, keepdims=0)


# From [batch, channels, height, width] to [batch, features].
POOLED: list[Layer] = [
    lambda h, x: _flat(h, h.node("GlobalAveragePool", x)),
    lambda h, x: _flat(h, h.node("GlobalMaxPool", x)),
    _flat,
    lambda h, x: _flat(h, h.node("Transpose", x, perm=[0, 2, 3, 1])),
    lambda h, x: h.with_axes("ReduceMean", x, [2, 3], 18, keepdims=0),
    lambda h, x: h.with_axes("ReduceMax", x, [2, 3], 18, keepdims=0),
    lambda h, x: h.with_axes("Squeeze", h.with_axes("ReduceSum", x, [2, 3], 13), [2, 3], 13),
    lambda h, x: h.node("Concat", POOLED[4](h, x), POOLED[5](h, x), axis=1),
    _length_1,
    _attended,
]

FINALS: list[Layer] = [
    lambda h, x: x,
    lambda h, x: h.node("Softmax", x, axis=1),
    lambda h, x: h.node("LogSoftmax", x, axis=1),
    lambda h, x: h.node("Clip", h.node("Sigmoid", x), h.weight(1e-6)),
]


@st.composite
def classifiers(draw: st.DrawFn, sketch: Callable[..., Any], opset: int) -> tuple[onnx.ModelProto, str]:
    """A classifier whose head is random, and the tensor of its logits."""
    head, x = sketch(DIMS, opset), "features"
    head.random = np.random.default_rng(draw(st.integers(0, 2**16)))
    for layer in draw(st.lists(st.sampled_from(SPATIAL) | st.sampled_from(ACTIVATIONS), max_size=4)):
        x = layer(head, x)
    x = draw(st.sampled_from(POOLED))(head, x)
    for layer in draw(st.lists(st.sampled_from(ACTIVATIONS), max_size=1)):
        x = layer(head, x)
    size = head.size_of(x)
    # Small logits: the gradient of a probability close to 1 is mostly rounding.
    weight = head.weight(head.random.normal(size=(size, CLASSES)) / np.sqrt(size) / 2)
    offset = head.weight(np.linspace(-0.5, 0.5, CLASSES))
    logits = head.node("Add", head.node("MatMul", x, weight), offset)
    return head.model(draw(st.sampled_from(FINALS))(head, logits)), logits


def _in_double_precision(model: onnx.ModelProto, output: str) -> ReferenceEvaluator:
    double = onnx.ModelProto()
    double.CopyFrom(model)
    del double.graph.value_info[:], double.graph.output[:]
    double.graph.output.append(onnx.ValueInfoProto(name=output))
    double.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    for tensor in double.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in double.graph.node:
        if node.op_type == "GroupNormalization" and model.opset_import[0].version >= 21:
            node.attribute.append(helper.make_attribute("stash_type", TensorProto.DOUBLE))
    return ReferenceEvaluator(double)


def _gradients(evaluator: ReferenceEvaluator, image: Any) -> Any:
    """The gradient of each class's score for one image [1, …], float64 [classes, …]."""
    steps = np.eye(image.size).reshape(-1, *DIMS) * _STEP
    above, below = (evaluator.run(None, {"image": image + sign * steps})[0] for sign in (1, -1))
    return ((above - below) / (2 * _STEP)).T.reshape(-1, *DIMS)


def _gradcam(features: Any, gradient: Any) -> Any:
    return (features * gradient.mean((1, 2), keepdims=True)).mean(0)


def _layercam(features: Any, gradient: Any) -> Any:
    return (features * np.maximum(gradient, 0)).sum(0)


METHODS: dict[str, Callable[[Any, Any], Any]] = {"gradcam": _gradcam, "layercam": _layercam}


def _well_conditioned(raw: Any, features: Any, gradient: Any, method: str) -> Any:
    """Clip a map at 0 and scale it. Reject the example if the map is mostly rounding of larger numbers."""
    terms = METHODS[method](np.abs(features), np.abs(gradient))
    assume(np.abs(gradient).max() > 1e-5 and np.abs(raw.max()) > 2e-2 * terms.max())
    positive = np.maximum(raw, 0)
    return positive / max(positive.max(), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_the_heatmap_of_a_random_head_is_that_of_central_differences(
    opset: int, data: st.DataObject, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, logits = data.draw(classifiers(sketch, opset))
    gradient_of = data.draw(st.sampled_from(["logit", "probability"]))
    method = data.draw(st.sampled_from(list(METHODS)))
    note(f"{method} through {[node.op_type for node in model.graph.node]}")
    output = logits if gradient_of == "logit" else model.graph.output[0].name
    attached = attach_gradcam(model, feature_map="features", method=method, gradient_of=gradient_of).model
    session, evaluator = session_of(attached), _in_double_precision(model, output)
    images = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(2, *DIMS)).astype(np.float32)
    # The reference is slow at pooling, so only the second of two images is compared.
    for class_index, gradient in enumerate(_gradients(evaluator, images[1:].astype(np.float64))):
        feeds = {"image": images, "class_index": np.array([class_index])}
        found = session.run(["heatmap"], feeds)[0][1]
        expected = _well_conditioned(METHODS[method](images[1], gradient), images[1], gradient, method)
        np.testing.assert_allclose(found, expected, atol=1e-4)
