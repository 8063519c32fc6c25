"""Messages of ONNX Runtime made readable: without error codes, source paths and C++ signatures."""

from __future__ import annotations

import re

# "[ONNXRuntimeError] : 1 : FAIL : Load model from net.onnx failed:"
_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?")
# "/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(const Graph&, bool) "
_PLACE = re.compile(r"\S*/onnxruntime_src/\S*:\d+ (?:.*?[^\W\d]\w*\((?:[^()]|\([^()]*\))*\)(?: const)? )?")
# A condition of its source code, before the readable text.
_CONDITION = re.compile(r"(?:(?<=: )|^)[^:]* was false\. (?=\S)")
_NODE = re.compile(r"Non-zero status code .*?running (\w+) node\. Name:'([^']*)' Status Message: ")
# An error of the type check of a graph begins so.
_INVALID = re.compile(r"^\s*This is an invalid model\. (?:Type Error: |Error: )?(?=\S)")
_END = re.compile(r"\.(?=\s)| Please |$")


def first_sentence(error: Exception) -> str:
    """Return the first sentence of an exception of ONNX Runtime, on one line."""
    if isinstance(error, UnicodeDecodeError):
        return "a name in it is not valid UTF-8"
    node = failing_node(error)
    prefix = f"{node} fails: " if node else ""
    text = _CONDITION.sub("", _PLACE.sub("", _NODE.sub("", _CODE.sub("", str(error)))))
    text = _INVALID.sub("", " ".join(text.split()))
    end = _END.search(text)
    return prefix + (text[: end.start()] if end else text).rstrip(".")


def failing_node(error: Exception) -> str:
    """Return the node that failed, such as `Reshape 'flatten'`; empty if the message names none."""
    found = _NODE.search(str(error))
    if found is None:
        return ""
    op_type, name = found.groups()
    return f"{op_type} '{name}'" if name else f"a node {op_type}"
