"""If nodes whose condition is settled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.simplifying import simplified

Simpler = Callable[[onnx.ModelProto], list[str]]


def _either(draft: Any, condition: str, **attributes: Any) -> Any:
    """An If between -image and |image|."""
    positive = draft.branch("then", helper.make_node("Neg", ["image"], ["then"]))
    negative = draft.branch("else", helper.make_node("Abs", ["image"], ["else"]))
    return draft.node("If", condition, then_branch=positive, else_branch=negative, **attributes)


@pytest.mark.parametrize(("condition", "operator"), [(True, "Neg"), (False, "Abs"), ([True], "Neg")])
def test_a_constant_condition_chooses_its_branch(
    condition: Any, operator: str, draft: Any, simpler: Simpler
) -> None:
    network = draft(2, 3)
    assert simpler(network.model(_either(network, network.weight(condition, bool)))) == [operator]


def test_a_size_beside_the_batch_settles_a_condition(draft: Any, simpler: Simpler) -> None:
    """As torch exports `squeeze` of an axis whose size it does not know."""
    network = draft(2, 3)
    condition = network.node("Equal", network.size("image", 2), network.weight(3))
    assert simpler(network.model(_either(network, condition))) == ["Neg"]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_condition_on_the_size_of_the_batch_is_not_settled(size: int, draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    condition = network.node("Equal", network.size("image", 0), network.weight(size))
    assert "If" in simpler(network.model(_either(network, condition)))


def test_a_batch_of_one_in_the_file_settles_a_condition(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3, batch=1)
    condition = network.node("Equal", network.size("image", 0), network.weight(1))
    assert simpler(network.model(_either(network, condition))) == ["Neg"]


def test_a_condition_on_the_numbers_of_an_image_is_not_settled(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    mean = network.node("ReduceMean", "image", keepdims=0)
    condition = network.node("Greater", mean, network.weight(0, np.float32))
    assert "If" in simpler(network.model(_either(network, condition)))


def test_a_condition_that_callers_can_override_is_not_settled(draft: Any) -> None:
    network = draft(2, 3)
    model = network.model(_either(network, network.weight(True, bool, "training")))
    model.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, []))
    assert [node.op_type for node in simplified(model).graph.node] == ["If"]


def test_branches_may_be_nested_and_use_the_same_names(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    yes, no = network.weight(True, bool), network.weight(False, bool)
    network.node("Exp", "image", output="inner")
    # Each branch has a tensor `part` or `own` of its own.
    deepest = network.branch(
        "part", helper.make_node("Sin", ["own"], ["deep"]), helper.make_node("Neg", ["deep"], ["part"])
    )
    other = network.branch("part", helper.make_node("Identity", ["image"], ["part"]))
    outer = network.branch(
        "result",
        helper.make_node("Cos", ["image"], ["own"]),
        helper.make_node("If", [no], ["chosen"], then_branch=other, else_branch=deepest),
        helper.make_node("Sum", ["chosen", "own", "inner"], ["result"]),
    )
    never = network.branch("own", helper.make_node("Identity", ["image"], ["own"]))
    result = network.node("If", yes, then_branch=outer, else_branch=never)
    assert simpler(network.model(network.node("Abs", result))) == ["Exp", "Cos", "Sin", "Neg", "Sum", "Abs"]


def test_weights_of_branches_move_into_the_graph(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    yes, result = network.weight(True, bool), "image"
    for numbers in ([2, 3, 4], [5, 6, 7]):
        factor = numpy_helper.from_array(np.array([numbers], np.float32), "factor")
        product = helper.make_node("Mul", [result, "factor"], ["product"])
        chosen = network.branch("product", product, weights=[factor])
        other = network.branch("same", helper.make_node("Identity", [result], ["same"]))
        result = network.node("If", yes, then_branch=chosen, else_branch=other)
    assert simpler(network.model(result)) == ["Mul", "Mul"]


def test_outputs_may_be_one_tensor_or_a_tensor_from_outside(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    network.node("Exp", "image", output="outer")
    names = ("one", "two", "three")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("a", "a", "outer")]
    chosen = helper.make_graph([helper.make_node("Neg", ["outer"], ["a"])], "then", [], values)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y", "z")]
    nodes = [helper.make_node("Abs", ["outer"], [value.name]) for value in values]
    other = helper.make_graph(nodes, "else", [], values)
    yes = network.weight(True, bool)
    network.nodes.append(helper.make_node("If", [yes], names, then_branch=chosen, else_branch=other))
    model = network.model(network.node("Sum", *names))
    simple = simplified(model)
    assert [node.op_type for node in simple.graph.node] == ["Exp", "Neg", "Identity", "Identity", "Sum"]


def test_a_graph_inside_the_branch_reads_the_new_names(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    limit = network.weight(3)
    go = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    body = helper.make_graph(
        [helper.make_node("Add", ["total", "step"], ["more"]), helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            go,
            helper.make_tensor_value_info("total", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", [limit, "", "step"], ["then"], body=body)
    chosen = network.branch("then", helper.make_node("Neg", ["image"], ["step"]), loop)
    # The other branch has a tensor of the same name, so this one gets a new one.
    other = network.branch("else", helper.make_node("Neg", ["image"], ["step"]))
    other.output[0].name = "step"
    result = network.node("If", network.weight(True, bool), then_branch=chosen, else_branch=other)
    assert simpler(network.model(result)) == ["Neg", "Loop"]
