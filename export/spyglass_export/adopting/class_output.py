"""The tensor of class scores in a classifier from elsewhere."""

from __future__ import annotations

import difflib

import onnx
from onnx import TensorProto

from spyglass_export.adopting.image_input import type_text
from spyglass_export.gradcam.errors import Advice, ScoresError

_REAL = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE})
# scikit-learn's form of an output, a map from class to score for each image; Azure Custom Vision uses it.
_ZIP_MAP = "ZipMap"
# The outputs of these operators hold no score for each class any more.
_REDUCED = {
    "ArgMax": "only the best class",
    "ArgMin": "only one class",
    "TopK": "only the best classes",
    "NonMaxSuppression": "boxes",
}


def find_output(model: onnx.ModelProto, name: str | None) -> str:
    """Return the tensor of class scores: the tensor called `name`, or the only output that can hold scores.

    `name` may be an inner tensor. An output that is a map from class to score (ZipMap) stands for the tensor
    of scores in it. Raises ScoresError.
    """
    producers = {output: node for node in model.graph.node for output in node.output if output}
    outputs = {value.name: value for value in model.graph.output}
    if name is not None:
        if name not in producers and name not in outputs:
            raise _unknown(name, [*outputs], [*producers])
        return _checked(_behind(producers, name), producers, outputs)
    possible = {
        _behind(producers, each) for each, value in outputs.items() if _may_hold_scores(producers, value)
    }
    if len(possible) == 1:
        return _checked(possible.pop(), producers, outputs)
    if len(outputs) == 1:
        (value,) = outputs.values()
        raise _no_scores(value.name, producers.get(value.name), f"it is {type_text(value)}")
    if not outputs:
        raise ScoresError("the network has no output", Advice.NAME_SCORES)
    raise ScoresError(f"the network has several outputs: {', '.join(outputs)}", Advice.NAME_SCORES)


def own_class_names(model: onnx.ModelProto, scores: str) -> list[str]:
    """Return the class names that a map from class to score gives to `scores`; empty if there are none."""
    for node in model.graph.node:
        if node.op_type == _ZIP_MAP and scores in node.input:
            for attribute in node.attribute:
                if attribute.name == "classlabels_strings":
                    return [name.decode(errors="replace") for name in attribute.strings]
    return []


def _behind(producers: dict[str, onnx.NodeProto], name: str) -> str:
    node = producers.get(name)
    return node.input[0] if node is not None and node.op_type == _ZIP_MAP and node.input else name


def _may_hold_scores(producers: dict[str, onnx.NodeProto], value: onnx.ValueInfoProto) -> bool:
    node = producers.get(value.name)
    if node is not None and node.op_type == _ZIP_MAP:
        return True
    # Of a TopK the values are real numbers: they are an output to name, or to be told about.
    return value.type.tensor_type.elem_type in _REAL or not value.type.WhichOneof("value")


def _checked(name: str, producers: dict[str, onnx.NodeProto], outputs: dict[str, onnx.ValueInfoProto]) -> str:
    node, value = producers.get(name), outputs.get(name)
    if node is not None and node.op_type in _REDUCED:
        raise _no_scores(name, node, f"it holds {_REDUCED[node.op_type]}")
    stated = None if value is None else value.type.WhichOneof("value")
    if value is not None and stated and value.type.tensor_type.elem_type not in _REAL:
        raise _no_scores(name, node, f"it is {type_text(value)}")
    return name


def _no_scores(name: str, node: onnx.NodeProto | None, why: str) -> ScoresError:
    """Return the error for an output without a score for each class, with the tensor behind it."""
    by = f" ({node.op_type})" if node is not None else ""
    earlier = f", such as --scores '{node.input[0]}'" if node is not None and node.input else ""
    return ScoresError(
        f"the output '{name}'{by} does not hold one score for each class: {why}; name the tensor of class "
        f"scores with --scores{earlier}"
    )


def _unknown(name: str, outputs: list[str], produced: list[str]) -> ScoresError:
    similar = difflib.get_close_matches(name, produced, n=3)
    hint = f"; similar tensors are {', '.join(similar)}" if similar else ""
    return ScoresError(f"the network has no output '{name}'; its outputs are {', '.join(outputs)}{hint}")
