"""A classifier's own output to probabilities: as nodes of its graph, and in numpy."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.model.outputs import class_probabilities
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.endings import find_ending
from spyglass_export.gradcam.errors import ScoresError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.probabilities import are_probabilities
from spyglass_export.gradcam.scores import explained_scores

# None: the output holds probabilities already.
Activation = Literal["Softmax", "Sigmoid"] | None


def missing_activation(view: GraphView, output: str, answers: NDArray[np.float32]) -> tuple[str, Activation]:
    """The tensor that probabilities are made of, and what makes them of it.

    `answers` [images, columns] is what `output` holds for some images. It is the output itself where it
    holds probabilities or logits, and the logits behind it where it holds the logarithm of a softmax. Raises
    ScoresError where the output is no classifier's, or holds probabilities that are scaled.
    """
    explained_scores(view, output, "logit")
    ending, several = find_ending(view, output), answers.shape[1] > 1
    if several and _sum_to_1(answers):
        return output, None
    if several and (answers <= 1e-3).all() and _sum_to_1(np.exp(answers)):
        return (ending.logits if ending else output), "Softmax"
    if ending is None and not are_probabilities(view, output):
        return output, "Softmax" if several else "Sigmoid"
    # Of several labels that may all be there each has a probability of its own.
    own = not several or ending is None or ending.activation == "Sigmoid"
    if own and (answers >= 0).all() and (answers <= 1).all():
        return output, None
    raise ScoresError(
        f"the output '{output}' holds probabilities that are scaled, or their logarithms; export the network "
        "without what follows its softmax or sigmoid"
    )


def _sum_to_1(answers: NDArray[np.float32]) -> bool:
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3))


def add_nodes(build: GraphBuilder, output: str, activation: Activation, columns: int, element: int) -> str:
    """The name of the float32 tensor [batch, classes] of an output of `columns` numbers an image.

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
    return class_probabilities(answers)
