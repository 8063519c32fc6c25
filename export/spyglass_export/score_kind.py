"""What the scores of a finished graph are: a softmax, independent sigmoids, or logits."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import (
    SCORE_KIND_LOGIT,
    SCORE_KIND_SIGMOID,
    SCORE_KIND_SOFTMAX,
    SCORE_KIND_UNSPECIFIED,
    ModelCard,
    ScoreKind,
)
from spyglass_contract.model.card import PROBABILITIES
from spyglass_export.gradcam.endings import find_ending
from spyglass_export.gradcam.errors import HeatmapError
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.passing import before_bounds
from spyglass_export.gradcam.probabilities import unscaled
from spyglass_export.simplifying.standard_form import standard_form

# Largest rounding error of a sum of probabilities.
_SUM_TOLERANCE = 1e-3


def score_kind(model: onnx.ModelProto, card: ModelCard) -> ScoreKind.ValueType:
    """Return the kind of the output `probabilities`, from the certificate of `card` and the graph.

    The certificate's golden outputs show it if they sum to 1 or leave [0, 1]. Otherwise the graph must end in
    a sigmoid, because logits can lie in [0, 1], too, or in a softmax, whose rounded probabilities need not
    sum to 1; if it does not, the kind is UNSPECIFIED.
    """
    scores = _golden_scores(card)
    if ((scores < -_SUM_TOLERANCE) | (scores > 1 + _SUM_TOLERANCE)).any():
        return SCORE_KIND_LOGIT
    if len(scores) and np.allclose(scores.sum(axis=1), 1, atol=_SUM_TOLERANCE):
        return SCORE_KIND_SOFTMAX
    return _kind_of_ending(model)


def _golden_scores(card: ModelCard) -> NDArray[np.float32]:
    """Return all golden outputs, float32 [rows, classes]."""
    certificate = card.certificate
    rows = [value for image in certificate.images for value in image.expected]
    rows += [value for tensor in certificate.tensors for value in tensor.expected]
    return np.asarray(rows, np.float32).reshape(-1, len(card.class_names))


def _kind_of_ending(model: onnx.ModelProto) -> ScoreKind.ValueType:
    try:
        view = GraphView(standard_form(model))
        ending = find_ending(view, PROBABILITIES)
        plain, _ = unscaled(view, PROBABILITIES)
    # The graph has a form that this package cannot read.
    except HeatmapError:
        return SCORE_KIND_UNSPECIFIED
    if ending is None or ending.logarithm:
        return SCORE_KIND_UNSPECIFIED
    if ending.activation == "Sigmoid":
        return SCORE_KIND_SIGMOID
    return SCORE_KIND_SOFTMAX if plain == before_bounds(view, plain) else SCORE_KIND_UNSPECIFIED
