"""What ONNX Runtime says, for people: without its codes, the paths of its own source, and its C++."""

from __future__ import annotations

import re

# "[ONNXRuntimeError] : 1 : FAIL : Load model from net.onnx failed:"
_CODE = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?")
# "/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(const Graph&, bool) "
_PLACE = re.compile(r"\S*/onnxruntime_src/\S*:\d+ (?:.*?[^\W\d]\w*\((?:[^()]|\([^()]*\))*\)(?: const)? )?")
# A condition of its source, and what stands for people behind it.
_CONDITION = re.compile(r"(?:(?<=: )|^)[^:]* was false\. (?=\S)")
_NODE = re.compile(r"Non-zero status code .*?running (\w+) node\. Name:'([^']*)' Status Message: ")
_END = re.compile(r"\.(?=\s)| Please |$")


def first_sentence(error: Exception) -> str:
    """The first sentence of what one of ONNX Runtime's exceptions says, on one line."""
    node = failing_node(error)
    where = f"{node} fails: " if node else ""
    text = _CONDITION.sub("", _PLACE.sub("", _NODE.sub("", _CODE.sub("", str(error)))))
    text = " ".join(text.split())
    end = _END.search(text)
    return where + (text[: end.start()] if end else text).rstrip(".")


def failing_node(error: Exception) -> str:
    """The node at which a run ended, as `Reshape 'flatten'`; empty where the exception names none."""
    found = _NODE.search(str(error))
    if found is None:
        return ""
    op_type, name = found.groups()
    return f"{op_type} '{name}'" if name else f"a node {op_type}"
