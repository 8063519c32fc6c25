"""Classifiers with settled branches, lists of tensors and computed positions, as exporters write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plain_softmax import softmax

Array = np.ndarray[Any, Any]
Nodes = list[onnx.NodeProto]
node = helper.make_node

CONSTANTS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "four": 4,
    "axis": [0],
    "flattened": [-1],
    "columns": [[0, 1, 2, 3]],
    "upright": [-1, 1],
}


def _branch(output: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    value = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    return helper.make_graph(nodes, output, [], [value])


def _settled_branch(nodes: Nodes) -> Nodes:
    """A product inside an If, whose condition is that there is more than one column of features."""
    *before, product = nodes
    then = _branch("then", node("MatMul", product.input, ["then"]))
    other = _branch("else", node("Neg", ["weight"], ["else"]))
    return [
        *before,
        node("Shape", ["features"], ["shape"]),
        node("Gather", ["shape", "two"], ["height"]),
        node("Greater", ["height", "one"], ["settled"]),
        node("If", ["settled"], product.output, then_branch=then, else_branch=other),
    ]


def _strided_view(nodes: Nodes) -> Nodes:
    """A view of the pooled features by positions in the flat batch, as with the channels last in memory."""
    *before, _, product = nodes
    return [
        *before,
        node("Shape", [nodes[0].input[0]], ["shape"]),
        node("Gather", ["shape", "zero"], ["batch"]),
        node("Range", ["zero", "batch", "one"], ["images"]),
        node("Mul", ["images", "four"], ["starts"]),
        node("Reshape", ["starts", "upright"], ["rows"]),
        node("Add", ["rows", "columns"], ["positions"]),
        node("Reshape", ["pooled", "flattened"], ["all"]),
        node("Gather", ["all", "positions"], ["mean"], axis=0),
        product,
    ]


def _list_behind_the_map(nodes: Nodes) -> Nodes:
    *before, mean, product = nodes
    return [
        *before,
        node("Reshape", mean.input, ["flat_mean"]),
        node("SplitToSequence", ["flat_mean", "two"], ["parts"], axis=1),
        node("ConcatFromSequence", ["pair"], ["mean"], axis=1),
        node("SequenceAt", ["parts", "zero"], ["first"]),
        node("SequenceAt", ["parts", "one"], ["second"]),
        node("SequenceConstruct", ["first", "second"], ["pair"]),
        product,
    ]


def _list_before_the_map(nodes: Nodes) -> Nodes:
    convolution, *behind = nodes
    return [
        node("Conv", convolution.input, ["whole"]),
        node("SplitToSequence", ["whole", "two"], ["parts"], axis=1),
        node("SequenceAt", ["parts", "zero"], ["first"]),
        node("SequenceAt", ["parts", "one"], ["second"]),
        node("Concat", ["first", "second"], ["convolved"], axis=1),
        *behind,
    ]


FORMS = {
    "settled branch": _settled_branch,
    "strided view": _strided_view,
    "list behind the map": _list_behind_the_map,
    "list before the map": _list_before_the_map,
}


def _written(file: Path, form: Callable[[Nodes], Nodes]) -> None:
    model = onnx.load(file)
    nodes = form(list(model.graph.node))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, value in CONSTANTS.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    onnx.save(model, file)


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("form", FORMS)
def test_a_network_in_this_form_has_its_heatmap(
    form: str,
    batch: int | str,
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    _written(theirs.write(tmp_path / "theirs.onnx", batch=batch), FORMS[form])
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    card, pixels, found, heatmaps = written()
    assert card.explained_layer == "features"
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


def test_a_branch_that_the_images_choose_is_named(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def chosen_by_the_images(nodes: Nodes) -> Nodes:
        *before, product = nodes
        branches = {
            f"{name}_branch": _branch(name, node("MatMul", ["mean", "weight"], [name]))
            for name in ("then", "else")
        }
        return [
            *before,
            node("ReduceMax", ["mean"], ["largest"], keepdims=0),
            node("Cast", ["largest"], ["positive"], to=TensorProto.BOOL),
            node("If", ["positive"], product.output, name="choice", **branches),
        ]

    _written(classifier().write(tmp_path / "theirs.onnx"), chosen_by_the_images)
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 1
    assert "no gradient through If node 'choice'" in capsys.readouterr().err
