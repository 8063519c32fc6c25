"""From a classifier's own output to probabilities: as nodes of its graph, and in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from spyglass_contract.errors import InvalidInput
from spyglass_contract.model.outputs import class_probabilities
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.endings import find_ending
from spyglass_export.gradcam.errors import ScoresError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.passing import before_bounds
from spyglass_export.gradcam.probabilities import are_probabilities, unscaled
from spyglass_export.gradcam.scores import explained_scores

# None: the output already holds probabilities.
Activation = Literal["Softmax", "Sigmoid"] | None

# The activation that the user chooses; None: the one that the graph shows.
Choice = Literal["softmax", "sigmoid", "none"] | None
_CHOSEN: dict[str, Activation] = {"softmax": "Softmax", "sigmoid": "Sigmoid", "none": None}


@dataclass(frozen=True)
class Ending:
    """How the class scores become probabilities: `activation` of the tensor `tensor`.

    `assumed` is true if neither the graph nor the user said which activation the network was trained with.
    `rounded` is true if the network rounds its own probabilities to integers, so that they need not sum to 1;
    the activation of `tensor` replaces them.
    """

    tensor: str
    activation: Activation
    assumed: bool = False
    rounded: bool = False


def missing_activation(
    view: GraphView, output: str, values: NDArray[np.float32], choice: Choice = None
) -> Ending:
    """Return the tensor to compute probabilities from, and the activation that computes them.

    `values` [images, columns] are those of `output` for some images. The tensor is the output itself if it
    holds probabilities or logits, and the logits behind it if it holds the logarithm of a softmax, or
    probabilities that the network rounds to integers. Raises
    ScoresError if the output is not that of a classifier, or holds scaled probabilities, and InvalidInput if
    `choice` does not fit the output.
    """
    explained_scores(view, output, "logit")
    found = _shown(view, output, values)
    if choice is None:
        return found
    ending = find_ending(view, output)
    return _chosen(found, ending.activation if ending else None, output, values, choice)


def _shown(view: GraphView, output: str, values: NDArray[np.float32]) -> Ending:
    ending, several = find_ending(view, output), values.shape[1] > 1
    plain, rounded = unscaled(view, output)
    direct = ending is not None and plain == before_bounds(view, plain)
    if ending is not None and direct and rounded:
        return Ending(ending.logits, ending.activation, rounded=True)
    if several and _sum_to_1(values):
        return Ending(output, None)
    if several and (values <= 1e-3).all() and _sum_to_1(np.exp(values)):
        return Ending(ending.logits if ending else output, "Softmax")
    if ending is None and not are_probabilities(view, output):
        return Ending(output, "Softmax" if several else "Sigmoid", assumed=several)
    # A network of several independent labels has a probability for each, and they need not sum to 1.
    own = not several or ending is None or ending.activation == "Sigmoid" or (direct and not ending.logarithm)
    if own and _in_0_to_1(values):
        return Ending(output, None)
    raise ScoresError(
        f"the output '{output}' holds scaled probabilities or their logarithms; export the network without "
        "the operators that follow its softmax or sigmoid"
    )


def _chosen(found: Ending, own: Activation, output: str, values: NDArray[np.float32], choice: str) -> Ending:
    """The ending by the user's choice. `own` is the activation at the end of the graph, None if unknown."""
    activation = _CHOSEN[choice]
    if activation is None:
        if not _in_0_to_1(values):
            raise InvalidInput(
                f"--activation none needs an output of probabilities, from 0 to 1; '{output}' holds "
                f"{values.min():.4g} to {values.max():.4g}",
                field="activation",
            )
        return Ending(output, None)
    if activation == "Softmax" and values.shape[1] == 1:
        raise InvalidInput(
            "--activation softmax needs several scores, and the network has one; the softmax of a single "
            "number is always 1",
            field="activation",
        )
    if own == activation and (found.activation is None or found.rounded):
        return found
    if found.activation is None or found.rounded:
        raise InvalidInput(
            f"--activation {choice} is for logits, but '{output}' already holds probabilities"
            + (f" of a {own.lower()}" if own else ""),
            field="activation",
        )
    if not found.assumed and found.activation != activation and values.shape[1] > 1:
        raise InvalidInput(
            f"--activation {choice} does not fit: '{output}' holds the logarithms of a "
            f"{found.activation.lower()}",
            field="activation",
        )
    return Ending(found.tensor, activation)


def _in_0_to_1(values: NDArray[np.float32]) -> bool:
    return bool((values >= 0).all() and (values <= 1).all())


def _sum_to_1(values: NDArray[np.float32]) -> bool:
    return bool((values >= 0).all() and np.allclose(values.sum(axis=1), 1, atol=1e-3))


def add_postprocessing(
    build: GraphBuilder, output: str, activation: Activation, columns: int, element: int, rank: int | None
) -> str:
    """Add nodes from `output` to probabilities, and return the name of the result, float32 [batch, classes].

    The output has `columns` numbers for each image. `element` is its type, as in TensorProto.DataType; 0 if
    the type is unknown. `rank` is the number of its axes, None if that is unknown.
    """
    if rank is not None and rank < 2:
        # A network of one image without an axis of the batch, or of one number for each image.
        tensor = build.add("Reshape", output, build.integers([-1, columns]))
    else:
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
