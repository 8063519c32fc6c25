"""The class that each row explains, and the gradient of the scores that starts the reverse pass."""

from __future__ import annotations

from spyglass_contract.model.card import CLASS_INDEX
from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.cotangent import Cotangent, OneHot
from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.opset_forms import unsqueeze
from spyglass_export.gradcam.scores import Scores
from spyglass_export.gradcam.sizes import Sized, reshape, rows_like, size_of, vector
from spyglass_export.gradcam.tensor_types import Dims


def seed(view: GraphView, build: GraphBuilder, scores: Scores) -> Cotangent | OneHot:
    """Return the gradient of the explained class's score with respect to the tensor of scores.

    If the model does not have a requested class, ONNX Runtime fails when it computes the heatmap.
    """
    tensor = Sized(scores.tensor, view.dims(scores.tensor))
    if scores.logit_of is not None:
        return _signed(build, tensor, scores.logit_of)
    classes = build.add("Flatten", scores.tensor, axis=1) if tensor.rank != 2 else scores.tensor
    selected = _selected(build, build.add("ArgMax", classes, axis=1, keepdims=0))
    return OneHot(selected, tensor, class_axis(tensor.dims) or 1)


def class_axis(dims: Dims) -> int | None:
    """Return the axis of the classes in a tensor of class scores, None if several axes are above 1.

    The first axis is the batch. If no other axis is above 1, the axis of the only class is axis 1.
    """
    above = [axis for axis, size in enumerate(dims) if axis > 0 and size != 1]
    return None if len(dims) < 2 or len(above) > 1 else (*above, 1)[0]


def written_out(build: GraphBuilder, gradient: OneHot) -> Cotangent:
    """Return a one-hot gradient as a full tensor.

    ONNX Runtime fails if a class of `selected` does not exist.
    """
    tensor, axis = gradient.of, gradient.axis
    number = vector(build, [size_of(build, tensor, axis)])
    shape = build.add("Concat", build.add("Shape", gradient.selected), number, axis=0)
    zeros = build.add("Expand", build.floats(0), shape)
    index = unsqueeze(build, gradient.selected, [1])
    one = build.floats(1) if gradient.value is None else gradient.value.name
    values = build.add("Expand", one, build.add("Shape", index))
    name = build.add("ScatterElements", zeros, index, values, axis=1)
    if tensor.rank != 2:
        sizes = [size_of(build, tensor, axis) if each == axis else 1 for each in range(1, tensor.rank)]
        name = reshape(build, name, [-1, *sizes])
    others = {each for each in range(1, tensor.rank) if each != axis and tensor.dims[each] != 1}
    return Cotangent(name, tensor, frozenset(others))


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
