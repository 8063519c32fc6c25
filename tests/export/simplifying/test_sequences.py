"""Sequences of tensors whose members are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from spyglass_export.gradcam import UnsupportedHead, attach_gradcam

Simpler = Callable[[onnx.ModelProto], list[str]]
SEQUENCES = {
    "ConcatFromSequence",
    "SequenceAt",
    "SequenceConstruct",
    "SequenceErase",
    "SequenceInsert",
    "SequenceLength",
    "SplitToSequence",
}


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize("sizes", [4, [1, 5, 2], [8], 3])
def test_a_split_with_stated_sizes(sizes: Any, opset: int, draft: Any, simpler: Simpler) -> None:
    """As torch exports `chunk` and `split`; the last of equal parts may be smaller."""
    network = draft(8, 3, opset=opset)
    sequence = network.node("SplitToSequence", "image", network.weight(sizes), axis=1)
    first, last = (network.node("SequenceAt", sequence, network.weight(place)) for place in (0, -1))
    operators = simpler(network.model(network.node("Concat", last, first, axis=1)))
    assert operators == ["Split", "Identity", "Identity", "Concat"]


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_split_into_single_slices(keepdims: int, opset: int, draft: Any, simpler: Simpler) -> None:
    """As torch exports `unbind`."""
    network = draft(4, 3, opset=opset)
    sequence = network.node("SplitToSequence", "image", axis=-2, keepdims=keepdims)
    members = [network.node("SequenceAt", sequence, network.weight(place)) for place in (2, 1)]
    assert not SEQUENCES.intersection(simpler(network.model(network.node("Sum", *members))))


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize(("axis", "new_axis"), [(1, 0), (-1, 0), (1, 1), (-1, 1), (0, 1)])
def test_a_sequence_that_is_built_changed_and_joined(
    axis: int, new_axis: int, opset: int, draft: Any, simpler: Simpler
) -> None:
    network = draft(4, 3, opset=opset)
    members = [network.node(op_type, "image") for op_type in ("Neg", "Abs", "Exp")]
    sequence = network.node("SequenceConstruct", *members[:2])
    sequence = network.node("SequenceInsert", sequence, members[2], network.weight(-1))
    if opset >= 14:
        sequence = network.node("Identity", sequence)
    sequence = network.node("SequenceInsert", sequence, "image")
    sequence = network.node("SequenceErase", sequence, network.weight(0))
    stack = network.node("ConcatFromSequence", sequence, axis=axis, new_axis=new_axis)
    length = network.node("Cast", network.node("SequenceLength", sequence), to=TensorProto.FLOAT)
    operators = simpler(network.model(network.node("Mul", stack, length)))
    assert not SEQUENCES.intersection(operators)
    # Erased: nothing reads it any more.
    assert "Neg" not in operators


def test_an_empty_sequence_may_be_filled(draft: Any, simpler: Simpler) -> None:
    network = draft(4, 3)
    sequence = network.node("SequenceEmpty", dtype=TensorProto.FLOAT)
    for member in ("image", network.node("Neg", "image")):
        sequence = network.node("SequenceInsert", sequence, member)
    assert simpler(network.model(network.node("ConcatFromSequence", sequence, axis=2))) == ["Neg", "Concat"]


def test_a_split_of_the_batch_stays(draft: Any, simpler: Simpler) -> None:
    network = draft(4, 3)
    sequence = network.node("SplitToSequence", "image", network.weight(1), axis=0)
    result = network.node("ConcatFromSequence", sequence, axis=0)
    assert simpler(network.model(result)) == ["SplitToSequence", "ConcatFromSequence"]


def _classifier(draft: Any, before_the_map: bool) -> onnx.ModelProto:
    """A member of a sequence is read at a position that the images decide."""
    network = draft(2, 8, 8)
    kernel = network.weight(np.random.default_rng(0).normal(size=(2, 2, 3, 3)), np.float32)
    tensor = "image" if before_the_map else network.node("Conv", "image", kernel)
    parts = network.node("SequenceConstruct", tensor, network.node("Neg", tensor))
    place = network.node("Greater", network.node("ReduceMean", "image", keepdims=0), network.weight(0, "f"))
    tensor = network.node("SequenceAt", parts, network.node("Cast", place, to=TensorProto.INT64))
    if before_the_map:
        tensor = network.node("Conv", tensor, kernel, output="map")
    network.node("Flatten", network.node("GlobalAveragePool", tensor), output="scores")
    return network.model("scores")


def test_a_sequence_that_stays_before_the_feature_map_does_not_matter(draft: Any) -> None:
    assert attach_gradcam(_classifier(draft, before_the_map=True)).layer == "map"


def test_a_sequence_that_stays_behind_the_feature_map_is_named(draft: Any) -> None:
    model = _classifier(draft, before_the_map=False)
    with pytest.raises(UnsupportedHead, match="no gradient through Sequence"):
        attach_gradcam(model, feature_map=model.graph.node[0].output[0])
