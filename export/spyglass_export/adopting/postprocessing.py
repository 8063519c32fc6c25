"""From a classifier's own output to probabilities: as nodes of its graph, and in numpy."""

from __future__ import annotations

from typing import Literal, assert_never

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

# None: the output already holds probabilities.
Activation = Literal["Softmax", "Sigmoid"] | None


def missing_activation(view: GraphView, output: str, values: NDArray[np.float32]) -> tuple[str, Activation]:
    """Return the tensor to compute probabilities from, and the activation that computes them.

    `values` [images, columns] are those of `output` for some images. The tensor is the output itself if it
    holds probabilities or logits, and the logits behind it if it holds the logarithm of a softmax. Raises
    ScoresError if the output is not that of a classifier, or holds scaled probabilities.
    """
    explained_scores(view, output, "logit")
    ending, several = find_ending(view, output), values.shape[1] > 1
    if several and _sum_to_1(values):
        return output, None
    if several and (values <= 1e-3).all() and _sum_to_1(np.exp(values)):
        return (ending.logits if ending else output), "Softmax"
    if ending is None and not are_probabilities(view, output):
        return output, "Softmax" if several else "Sigmoid"
    # A network of several independent labels has a probability for each, and they need not sum to 1.
    own = not several or ending is None or ending.activation == "Sigmoid"
    if own and (values >= 0).all() and (values <= 1).all():
        return output, None
    raise ScoresError(
        f"the output '{output}' holds scaled probabilities or their logarithms; export the network without "
        "the operators that follow its softmax or sigmoid"
    )


def _sum_to_1(values: NDArray[np.float32]) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def add_postprocessing(
    build: GraphBuilder, output: str, activation: Activation, columns: int, element: int
) -> str:
    """Add nodes from `output` to probabilities, and return the name of the result, float32 [batch, classes].

    The output has `columns` numbers for each image. `element` is its type, as in TensorProto.DataType; 0 if
    the type is unknown.
    """
    tensor = build.add("Flatten", output, axis=1)
    if element != TensorProto.FLOAT:
        tensor = build.add("Cast", tensor, to=TensorProto.FLOAT)
    match activation:
        case "Softmax":
            tensor = build.add("Softmax", tensor, axis=1)
        case "Sigmoid":
            tensor = build.add("Sigmoid", tensor)
        case None:
            pass
        case _:
            assert_never(activation)
    if columns > 1:
        return tensor
    return build.add("Concat", build.add("Sub", build.floats(1), tensor), tensor, axis=1)


def postprocess(values: NDArray[np.float32], activation: Activation) -> NDArray[np.float32]:
    """Compute in numpy what the added nodes compute: [batch, columns] to float32 [batch, classes]."""
    match activation:
        case "Softmax":
            exponentials = np.exp(values - values.max(axis=1, keepdims=True))
            return exponentials / exponentials.sum(axis=1, keepdims=True)
        case "Sigmoid":
            # In this form no exponential overflows.
            return class_probabilities(np.float32(0.5) * (1 + np.tanh(values / 2)))
        case None:
            return class_probabilities(values)
        case _:
            assert_never(activation)
