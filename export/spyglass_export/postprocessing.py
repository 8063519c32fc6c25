"""A classifier's own output to probabilities: as nodes of its graph, and in numpy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.probabilities import of_both_classes
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.scores import find_scores

# None: the output holds probabilities already.
Activation = Literal["Softmax", "Sigmoid"] | None


def missing_activation(view: GraphView, output: str, answers: NDArray[np.float32]) -> Activation:
    """What turns `output` into probabilities.

    `answers` [pictures, columns] is what it holds for some pictures. A graph that ends in a Softmax or
    Sigmoid lacks nothing; one that computes a softmax of smaller operators is known by what it answers. Log
    probabilities become probabilities by a Softmax, as logits do. Raises ScoresError where the output is no
    classifier's.
    """
    scores = find_scores(view, output, "logit").tensor
    ending = {node.op_type for node in view.ancestors(output) if scores in node.inputs}
    if ending & {"Softmax", "Sigmoid"}:
        return None
    if answers.shape[1] == 1:
        return "Sigmoid"
    return None if (answers >= 0).all() and np.allclose(answers.sum(1), 1, atol=1e-3) else "Softmax"


def add_nodes(build: GraphBuilder, output: str, activation: Activation, columns: int, element: int) -> str:
    """The name of the float32 tensor [batch, classes] of an output of `columns` numbers a picture.

    `element` is the output's type, as in TensorProto.DataType; 0 where it is not known.
    """
    tensor = build.add("Flatten", output, axis=1)
    if element != TensorProto.FLOAT:
        tensor = build.add("Cast", tensor, to=TensorProto.FLOAT)
    if activation == "Softmax":
        tensor = build.add("Softmax", tensor, axis=1)
    elif activation == "Sigmoid":
        tensor = build.add("Sigmoid", tensor)
    if columns > 1:
        return tensor
    return build.add("Concat", build.add("Sub", build.floats(1), tensor), tensor, axis=1)


def postprocess(answers: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """The same in numpy: float32 [batch, classes] of [batch, columns]."""
    if activation == "Softmax":
        exponentials = np.exp(answers - answers.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)
    if activation == "Sigmoid":
        # Written so that no exponential overflows.
        answers = np.float32(0.5) * (1 + np.tanh(answers / 2))
    return of_both_classes(answers)
