"""Order of nodes, transpositions, and graphs that have nothing to simplify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from onnx import helper

from spyglass_contract.errors import ModelError
from spyglass_export.simplifying import simplified

Simpler = Callable[[onnx.ModelProto], list[str]]


def test_nodes_are_sorted(draft: Any) -> None:
    """As files whose casts a converter appended at the end; ONNX Runtime sorts them itself."""
    network = draft(2, 3)
    result = network.node("Exp", network.node("Abs", network.node("Neg", "image")))
    network.nodes.reverse()
    simple = simplified(network.model(result))
    assert [node.op_type for node in simple.graph.node] == ["Neg", "Abs", "Exp"]


def test_nodes_of_a_branch_are_sorted(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3)
    nodes = [helper.make_node("Exp", ["middle"], ["then"]), helper.make_node("Neg", ["image"], ["middle"])]
    other = network.branch("else", helper.make_node("Abs", ["image"], ["else"]))
    chosen = network.branch("then", *nodes)
    result = network.node("If", network.weight(True, bool), then_branch=chosen, else_branch=other)
    assert [node.op_type for node in simplified(network.model(result)).graph.node] == ["Neg", "Exp"]


def test_a_circle_is_refused(draft: Any) -> None:
    network = draft(2, 3)
    network.nodes.append(helper.make_node("Add", ["image", "other"], ["one"]))
    network.nodes.append(helper.make_node("Neg", ["one"], ["other"]))
    with pytest.raises(ModelError, match="circle"):
        simplified(network.model("other"))


def test_two_transpositions_become_one(draft: Any, simpler: Simpler) -> None:
    network = draft(2, 3, 4)
    once = network.node("Transpose", "image", perm=[0, 2, 3, 1])
    twice = network.node("Transpose", once, perm=[0, 2, 3, 1])
    thrice = network.node("Transpose", twice, perm=[0, 2, 3, 1])
    size = network.node("Unsqueeze", network.size("image", 0), network.weight([0]))
    target = network.node("Concat", size, network.weight([24]), axis=0)
    results = [network.node("Neg", twice), network.node("Abs", network.node("Reshape", thrice, target))]
    assert simpler(network.model(*results)).count("Transpose") == 1


def test_a_graph_with_nothing_to_simplify_is_returned_itself(draft: Any) -> None:
    network = draft(2, 3)
    model = network.model(network.node("Exp", network.node("Neg", "image")))
    assert simplified(model) is model


def test_operators_of_other_domains_stay(draft: Any, simpler: Simpler) -> None:
    network = draft(6, 8)
    model = network.model(network.node("Abs", network.node("Gelu", "image", domain="com.microsoft")))
    shape = helper.make_node("Shape", ["image"], ["unread"])
    model.graph.node.insert(0, shape)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert simpler(model) == ["Shape", "Gelu", "Abs"]
