"""Sizes that a file leaves open by a number below 1, such as a batch of -1, and not by a name."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def with_free_sizes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model, or a copy whose sizes below 1 are open, as ONNX Runtime reads them.

    An input has no image in it if one of its sizes is 0. Inner tensors can have a size of 0.
    """
    if not any(True for _ in _free(model)):
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for size in list(_free(copy)):
        size.ClearField("dim_value")
    return copy


def _free(model: onnx.ModelProto) -> Iterator[onnx.TensorShapeProto.Dimension]:
    graph = model.graph
    for values, least in ((graph.input, 1), (graph.output, 1), (graph.value_info, 0)):
        for value in values:
            for size in value.type.tensor_type.shape.dim:
                if size.HasField("dim_value") and size.dim_value < least:
                    yield size
