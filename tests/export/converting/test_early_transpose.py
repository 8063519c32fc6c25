from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto, helper, numpy_helper

from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_export.converting.early_transpose import transpose_early
from spyglass_export.session_options import session_options

HEIGHT, WIDTH = 4, 5
Array = np.ndarray[Any, Any]


class Network:
    """A network on uint8 images [batch, 4, 5, 3]: a chain of nodes."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(3)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.last = "image"
        self.outputs = ["scores"]

    def constant(self, *dims: int) -> str:
        name = f"constant{len(self.weights)}"
        values = self.random.uniform(0.5, 2, dims).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def then(self, op_type: str, *others: str, **attributes: Any) -> Network:
        output = f"tensor{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, [self.last, *others], [output], **attributes))
        self.last = output
        return self

    def cast(self, to: int = TensorProto.FLOAT) -> Network:
        return self.then("Cast", to=to)

    def turned(self, perm: Sequence[int] = (0, 3, 1, 2)) -> Network:
        return self.then("Transpose", perm=list(perm))

    def model(self) -> onnx.ModelProto:
        nodes = [*self.nodes, helper.make_node("Relu", [self.last], ["scores"])]
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(nodes, "network", [image], outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto) -> list[Array]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    pixels = np.random.default_rng(4).integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8)
    found: list[Array] = session.run(None, {"image": pixels})
    return found


def transposed_types(model: onnx.ModelProto) -> list[int]:
    inferred = onnx.shape_inference.infer_shapes(model)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    types["image"] = TensorProto.UINT8
    return [types[node.input[0]] for node in inferred.graph.node if node.op_type == "Transpose"]


ARITHMETIC: dict[str, Callable[[Network], Network]] = {
    "a factor": lambda n: n.cast().then("Mul", n.constant()),
    "a factor of one number in four axes": lambda n: n.cast().then("Mul", n.constant(1, 1, 1, 1)),
    "a mean and a deviation by channel": lambda n: (
        n.cast().then("Sub", n.constant(3)).then("Div", n.constant(1, 1, 1, 3))
    ),
    "a mean image": lambda n: n.cast().then("Sub", n.constant(HEIGHT, WIDTH, 3)),
    "numbers by column": lambda n: n.cast().then("Add", n.constant(WIDTH, 1)),
    "numbers by row": lambda n: n.cast().then("Add", n.constant(HEIGHT, 1, 3)),
    "blue first": lambda n: (
        n.then("Gather", "order", axis=3).cast().then("Sub", n.constant(3)).then("Mul", n.constant())
    ),
    "float64 in between": lambda n: (
        n.cast(TensorProto.DOUBLE).cast().then("Sub", n.constant(3)).then("Mul", n.constant(1))
    ),
}


@pytest.mark.parametrize("arithmetic", ARITHMETIC)
def test_bytes_are_transposed_and_every_result_stays_the_same(arithmetic: str) -> None:
    network = Network()
    network.weights.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    model = ARITHMETIC[arithmetic](network).turned().model()
    before = run(model)

    transpose_early(model)

    onnx.checker.check_model(model, full_check=True)
    assert transposed_types(model) == [TensorProto.UINT8]
    np.testing.assert_array_equal(run(model)[0], before[0])


def test_numbers_tiled_over_a_row_become_one_for_each_channel() -> None:
    network = Network()
    network.weights.append(numpy_helper.from_array(np.tile(np.float32([1, 2, 3]), (WIDTH, 1)), "means"))
    model = network.cast().then("Sub", "means").turned().model()

    transpose_early(model)

    assert [tuple(tensor.dims) for tensor in model.graph.initializer] == [(1, 3, 1, 1)]


def _also_an_output(network: Network) -> Network:
    network.cast().then("Mul", network.constant())
    network.outputs.append(network.last)
    return network.turned()


def _read_twice(network: Network) -> Network:
    return network.cast().then("Mul", network.last).turned()


def _read_inside(network: Network) -> Network:
    network.cast().then("Mul", network.constant())
    scaled = network.last
    network.turned()
    inner = [onnx.ValueInfoProto(name="inner")]
    branch = helper.make_graph([helper.make_node("ReduceMax", [scaled], ["inner"])], "branch", [], inner)
    network.weights.append(numpy_helper.from_array(np.array(True), "always"))
    network.nodes.append(
        helper.make_node("If", ["always"], ["largest"], then_branch=branch, else_branch=branch)
    )
    network.outputs.append("largest")
    return network


OTHERS: dict[str, Callable[[Network], Network]] = {
    "another permutation": lambda n: n.cast().then("Mul", n.constant(3)).turned((0, 2, 1, 3)),
    "a result that is an output": _also_an_output,
    "an operand that is not constant": _read_twice,
    "a result that a branch reads": _read_inside,
    "half precision": lambda n: n.cast().then("Mul", n.constant(3)).cast(TensorProto.FLOAT16).turned(),
    "something between": lambda n: n.cast().then("Softmax", axis=-1).turned(),
    "no Transpose": lambda n: n.cast().then("Mul", n.constant(3)),
    "bytes transposed already": lambda n: n.turned().cast().then("Mul", n.constant(1, 3, 1, 1)),
}


@pytest.mark.parametrize("form", OTHERS)
def test_a_graph_of_another_form_stays_as_it_is(form: str) -> None:
    model = OTHERS[form](Network()).model()
    before = model.SerializeToString()

    transpose_early(model)

    assert model.SerializeToString() == before
