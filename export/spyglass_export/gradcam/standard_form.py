"""Older and less common forms of a model file, brought into the one that the rest of this package reads."""

from __future__ import annotations

import onnx
from onnx import inliner

# From this version of the file format on, an initialiser need not be a graph input too, and is then constant.
_CONSTANT_INITIALIZERS = 4


def standard_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model itself, or a copy with its functions inlined and its weights constant; its answers stay.

    In files of IR version 3 every weight is also a graph input. Left as they are under a newer version,
    callers could override them, and ONNX Runtime would optimise nothing.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    return _with_constant_weights(model) if model.ir_version < _CONSTANT_INITIALIZERS else model


def _with_constant_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    newer = onnx.ModelProto()
    newer.CopyFrom(model)
    newer.ir_version = _CONSTANT_INITIALIZERS
    weights = {tensor.name for tensor in newer.graph.initializer}
    fed = [value for value in newer.graph.input if value.name not in weights]
    del newer.graph.input[:]
    newer.graph.input.extend(fed)
    return newer
