"""Weights that a file stores as a list of those numbers that are not 0."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def with_dense_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy whose sparse weights are ordinary ones."""
    if not model.graph.sparse_initializer:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.initializer.extend(_dense(weight) for weight in copy.graph.sparse_initializer)
    del copy.graph.sparse_initializer[:]
    return copy


def _dense(weight: onnx.SparseTensorProto) -> onnx.TensorProto:
    values, indices = numpy_helper.to_array(weight.values), numpy_helper.to_array(weight.indices)
    dense = np.zeros(tuple(weight.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return numpy_helper.from_array(dense, weight.values.name)
