"""Conversion of older and less common forms of a model file into the form that this package reads."""

from __future__ import annotations

import onnx
from onnx import inliner

from spyglass_export.simplifying.free_sizes import with_free_sizes
from spyglass_export.simplifying.sparse_weights import with_dense_weights

# Since this IR version, an initialiser that is not also a graph input is allowed, and is constant.
_CONSTANT_INITIALIZERS = 4


def standard_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or an equivalent copy with its functions inlined and its weights constant.

    Sizes of -1 are open in the copy, and sparse weights are dense.
    In files of IR version 3 every weight is also a graph input. If such inputs stayed in a newer version,
    callers could override the weights, and ONNX Runtime could not optimise the graph.
    """
    if model.functions:
        model = inliner.inline_local_functions(model)
    model = with_dense_weights(with_free_sizes(model))
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
