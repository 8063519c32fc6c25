"""What a written file says about its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper

from spyglass.v1.model_pb2 import (
    SCORE_KIND_LOGIT,
    SCORE_KIND_SIGMOID,
    SCORE_KIND_SOFTMAX,
    SCORE_KIND_UNSPECIFIED,
    Certificate,
    GoldenTensor,
    ModelCard,
    ScoreKind,
)
from spyglass_export.score_kind import score_kind

LOGITS = np.random.default_rng(3).normal(0, 2, (16, 3))


def graph_of(*operators: str) -> Any:
    """A graph that applies operators to its input, the last one giving `probabilities`."""
    names = ["logits", *(f"step_{number}" for number in range(len(operators) - 1)), "probabilities"]
    nodes = [
        helper.make_node(operator, [names[number]], [names[number + 1]])
        for number, operator in enumerate(operators)
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("logits", names[-1])
    ]
    made = helper.make_graph(nodes, "small", ends[:1], ends[1:])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def card_of(outputs: np.ndarray[Any, Any]) -> ModelCard:
    card = ModelCard(class_names=["a", "b", "c"])
    tensors = [GoldenTensor(seed=seed, expected=row) for seed, row in enumerate(outputs)]
    card.certificate.CopyFrom(Certificate(tensors=tensors))
    return card


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    ("operators", "outputs", "kind"),
    [
        (("Softmax",), softmax(LOGITS), SCORE_KIND_SOFTMAX),
        # A mean of softmaxes, or a softmax in a form that no rule knows: its numbers show it.
        (("Abs",), softmax(LOGITS), SCORE_KIND_SOFTMAX),
        (("Sigmoid",), sigmoid(LOGITS), SCORE_KIND_SIGMOID),
        (("Sigmoid", "Identity"), sigmoid(LOGITS), SCORE_KIND_SIGMOID),
        (("Abs",), LOGITS, SCORE_KIND_LOGIT),
        # Logits can lie in [0, 1], too: without a sigmoid in the graph nothing is claimed.
        (("Abs",), sigmoid(LOGITS), SCORE_KIND_UNSPECIFIED),
    ],
)
def test_the_kind_is_read_from_the_outputs_and_the_graph(
    operators: tuple[str, ...], outputs: Any, kind: ScoreKind.ValueType
) -> None:
    assert score_kind(graph_of(*operators), card_of(outputs)) == kind


def test_a_graph_that_cannot_be_read_has_no_kind() -> None:
    model = graph_of("Sigmoid")
    model.opset_import[0].version = 7
    assert score_kind(model, card_of(sigmoid(LOGITS))) == SCORE_KIND_UNSPECIFIED
