"""Graphs in double precision compute what the original computes, with fewer rounding errors."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from spyglass_export.proving.precise_session import PreciseSession
from spyglass_export.session_options import session_options


def _model(nodes: list[Any], weights: dict[str, Any], shape: list[Any], opset: int = 17) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def _in_float32(model: ModelProto, x: Any) -> Any:
    session = ort.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    return session.run(["y"], {"x": x.astype(np.float32)})[0]


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"pads": [1, 0, 2, 1]},
    {"strides": [2, 3], "dilations": [2, 1], "pads": [1, 1, 1, 1]},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
    {"auto_pad": "VALID", "strides": [2, 1]},
    {"group": 3},
    {"group": 6, "pads": [1, 1, 1, 1]},
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("attributes", CONVOLUTIONS, ids=str)
def test_a_convolution_has_double_precision(attributes: dict[str, Any], bias: bool) -> None:
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(6, 6 // attributes.get("group", 1), 3, 2)).astype(np.float32)}
    if bias:
        weights["b"] = random.normal(size=6).astype(np.float32)
    model = _model([helper.make_node("Conv", ["x", *weights], ["y"], **attributes)], weights, ["n", 6, 9, 8])
    x = random.normal(size=(2, 6, 9, 8))
    session = PreciseSession(model)
    (found,) = session.run(["y"], {"x": x})
    np.testing.assert_allclose(found, _in_float32(model, x), atol=1e-5)
    # A product is linear to the rounding of double precision.
    (zero,) = session.run(["y"], {"x": np.zeros_like(x)})
    (scaled,) = session.run(["y"], {"x": x * 1e-9})
    np.testing.assert_allclose((scaled - zero) * 1e9, found - zero, atol=1e-5)


@pytest.mark.parametrize("op_type", ["HardSwish", "AveragePool", "Selu", "GlobalAveragePool", "Erf"])
def test_other_operators_run_in_double_or_in_float32(op_type: str) -> None:
    attributes = {"kernel_shape": [2, 2]} if op_type == "AveragePool" else {}
    nodes = [
        helper.make_node(op_type, ["x"], ["z"], **attributes),
        helper.make_node("Mul", ["z", "half"], ["y"]),
    ]
    model = _model(nodes, {"half": np.float32(0.5)}, ["n", 3, 4, 4])
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 4))
    (found,) = PreciseSession(model).run(["y"], {"x": x})
    np.testing.assert_allclose(found, _in_float32(model, x), atol=1e-6)


def test_constants_and_casts_change_their_type() -> None:
    nodes = [
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["few"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["shape"], value_ints=[2]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Cast", ["x"], ["half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["whole", "one", "few", "zeros"], ["y"]),
    ]
    (found,) = PreciseSession(_model(nodes, {}, ["n", 2])).run(["y"], {"x": np.array([[1e-9, 1.0]])})
    np.testing.assert_allclose(found, [[2 + 1e-9, 4]], atol=0, rtol=1e-15)


def test_quantised_tensors_are_not_rounded() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["packed"]),
        helper.make_node("Transpose", ["packed"], ["turned"], perm=[1, 0]),
        helper.make_node("DequantizeLinear", ["turned", "scale", "zero"], ["unpacked"]),
        helper.make_node("DequantizeLinear", ["w", "scale"], ["weight"]),
        helper.make_node("MatMul", ["unpacked", "weight"], ["y"]),
    ]
    weights = {"scale": np.float32(0.25), "zero": np.uint8(3), "w": np.array([[2], [-4]], np.int8)}
    (found,) = PreciseSession(_model(nodes, weights, [2, 1])).run(["y"], {"x": np.array([[0.1], [0.3]])})
    np.testing.assert_allclose(found, [[0.1 * 0.5 - 0.3]], rtol=1e-12)


@pytest.mark.parametrize(
    ("zero", "scale", "expected"),
    [
        (np.uint8(0), 0.1, [0, 1.23, 7]),
        (np.uint8(0), 6 / 255, [0, 1.23, 6]),
        (np.int8(-128), 6 / 255, [0, 1.23, 6]),
        (np.int8(-100), 6 / 255, [-1.7, 1.23, 7]),
        (None, 0.1, [0, 1.23, 7]),
    ],
)
def test_a_range_that_starts_at_0_cuts_as_an_activation_does(
    zero: Any, scale: float, expected: list[float]
) -> None:
    grid = ["scale", *(["zero"] if zero is not None else [])]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *grid], ["packed"]),
        helper.make_node("DequantizeLinear", ["packed", *grid], ["unpacked"]),
        helper.make_node("Mul", ["unpacked", "one"], ["y"]),
    ]
    weights = {"scale": np.float32(scale), "one": np.float32(1)}
    if zero is not None:
        weights["zero"] = zero
    (found,) = PreciseSession(_model(nodes, weights, [3])).run(["y"], {"x": np.array([-1.7, 1.23, 7.0])})
    np.testing.assert_allclose(found, expected, atol=scale / 2)


def test_the_scores_are_the_numbers_before_their_own_quantiser() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["packed"]),
        helper.make_node("DequantizeLinear", ["packed", "scale", "zero"], ["unpacked"]),
        helper.make_node("Identity", ["unpacked"], ["y"]),
    ]
    weights = {"scale": np.float32(0.25), "zero": np.uint8(0)}
    (found,) = PreciseSession(_model(nodes, weights, [2])).run(["y"], {"x": np.array([-1.7, 1.23])})
    np.testing.assert_array_equal(found, [-1.7, 1.23])
