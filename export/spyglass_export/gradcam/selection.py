"""The class that each row explains, and the gradient of the scores that starts the reverse pass."""

from __future__ import annotations

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, OneHot
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.scores import Scores
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like
from spyglass_export.gradcam.weights import as_float32


def seed(view: GraphView, build: GraphBuilder, scores: Scores) -> Cotangent | OneHot:
    """Return the gradient of the explained class's score with respect to the tensor of scores.

    If the model does not have a requested class, ONNX Runtime fails when it computes the heatmap.
    """
    tensor = Sized(scores.tensor, view.dims(scores.tensor))
    node = view.producers.get(scores.tensor)
    dequantised = node is not None and node.op_type == "DequantizeLinear"
    numbers = as_float32(view, build, scores.tensor) if dequantised else scores.tensor
    tensor = Sized(numbers, tensor.dims)
    if scores.logit_of is not None:
        return _signed(build, tensor, scores.logit_of)
    classes = build.add("Flatten", numbers, axis=1) if tensor.rank != 2 else numbers
    selected = _selected(build, build.add("ArgMax", classes, axis=1, keepdims=0))
    return OneHot(selected, tensor) if tensor.rank == 2 else _at_class(build, classes, selected, tensor)


def written_out(build: GraphBuilder, gradient: OneHot) -> Cotangent:
    """Return a one-hot gradient as a full tensor."""
    return _at_class(build, gradient.of.name, gradient.selected, gradient.of)


def _selected(build: GraphBuilder, predicted: str) -> str:
    """The class of each row, int64 [rows]: the predicted class if the requested index is negative."""
    negative = build.add("Less", CLASS_INDEX, build.integers(0))
    return build.add("Where", negative, predicted, CLASS_INDEX)


def _signed(build: GraphBuilder, logit: Sized, logit_of: int) -> Cotangent:
    """1 for the class of the logit, -1 for the other class."""
    positive = build.add("Greater", build.add("Reshape", logit.name, build.integers([-1])), build.floats(0))
    predicted = build.add("Where", positive, build.integers(logit_of), build.integers(1 - logit_of))
    signs = build.floats([-1, 1] if logit_of == 1 else [1, -1])
    rows = build.add("Gather", signs, _selected(build, predicted), axis=0)
    return Cotangent(reshape(build, rows, rows_like(build, logit)), logit)


def _at_class(build: GraphBuilder, classes: str, selected: str, tensor: Sized) -> Cotangent:
    """1 at the selected class of each row of [batch, classes], in the shape of `tensor`."""
    index = unsqueeze(build, selected, [1])
    number = build.add("Gather", build.add("Shape", classes), build.integers([1]), axis=0)
    shape = build.add("Concat", build.add("Shape", selected), number, axis=0)
    zeros = build.add("Expand", build.floats(0), shape)
    ones = build.add("Cast", build.add("Equal", index, index), to=1)
    name = build.add("ScatterElements", zeros, index, ones, axis=1)
    if tensor.rank != 2:
        name = reshape(build, name, rows_like(build, tensor))
    return Cotangent(name, tensor)
